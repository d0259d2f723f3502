import { sm3Hex } from 'pki'
import type { Transaction } from 'service-kit'
import { canonicalJson, type HospitalId, type StudyInstanceUid, type TaskId } from 'specs'
import { Buffer } from 'node:buffer'
import type { Consult } from './consult.ts'
import { saveConsult } from './store.ts'

/** What proves later which opinion was destroyed, to whoever still holds one: its number and the digest of its signed form. */
export interface ErasedConsult {
  readonly taskId: TaskId
  readonly opinionId?: string
  readonly opinionSm3?: string
}

/**
 * 销毁 with the exam (docs/adr/0013): request, question, opinion and whatever of them is still sealed leave the consultations that we asked for about it.
 * Who asked whom, when, and each step stay, with the masked label; the processor keeps its own record of what it wrote.
 */
export async function eraseConsults(tx: Transaction, { examId, study, here }: { examId: string; study: StudyInstanceUid | null; here: HospitalId }): Promise<ErasedConsult[]> {
  const rows = await tx.all<{ body: string }>(
    `SELECT body FROM consult WHERE side = 'submitter' AND (exam_id = $1 OR task_id IN (SELECT task_id FROM consult_study WHERE study_instance_uid = $2))`,
    [examId, study ?? ''],
  )
  const erased: ErasedConsult[] = []
  for (const { body } of rows) {
    const consult = JSON.parse(body) as Consult
    const { taskId, opinion, facts } = consult
    await saveConsult(tx, { ...consult, examId: null, patientName: facts.patientLabel, question: '', request: null, opinion: null, opinionValid: null, keyImageSeriesInstanceUid: null }, here)
    await tx.run('UPDATE consult_event SET sealed = NULL WHERE task_id = $1', [taskId])
    await tx.run('DELETE FROM consult_opinion WHERE task_id = $1', [taskId])
    await tx.run('DELETE FROM consult_draft WHERE task_id = $1', [taskId])
    erased.push({ taskId, ...(opinion && { opinionId: opinion.text.opinionId, opinionSm3: sm3Hex(Buffer.from(canonicalJson(opinion))) }) })
  }
  return erased
}
