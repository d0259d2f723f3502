import { randomUUID } from 'node:crypto'
import { ApiUser } from '../../../scripts/region/api.ts'
import { submit, untilImagesHeld, untilState } from '../../support/story.ts'

export interface AskedConsult {
  readonly taskId: string
  readonly applicant: ApiUser
  readonly expert: ApiUser
}

/** A consultation that the first hospital has asked the second for, with its images pushed there and an expert at work on it. */
export async function aConsult(from: { url: string }, to: { id: string; url: string }, password: string, { examId, question }: { examId: string; question: string }): Promise<AskedConsult> {
  const applicant = await ApiUser.signIn(from.url, 'doctor', password)
  const expert = await ApiUser.signIn(to.url, 'expert', password)
  const taskId = await submit(applicant, { exam: { examId } as Parameters<typeof submit>[1]['exam'], target: { kind: 'hospital', hospitalId: to.id }, question, taskId: randomUUID() })
  await untilImagesHeld(expert, taskId)
  await expert.send('POST', `/api/consults/${taskId}/claim`)
  await untilState(expert, taskId, 'accepted')
  await expert.send('POST', `/api/consults/${taskId}/start`)
  await untilState(expert, taskId, 'started')
  return { taskId, applicant, expert }
}
