import { expect, it } from 'vitest'
import type { ProblemDetails } from 'specs'
import { holderIn } from './held-by.ts'

const refusal = (code: string, facts: Record<string, unknown>) => ({ code, title: '该会诊已被他人接收', facts }) as unknown as ProblemDetails
const li = { hospitalId: 'hospital-b', userId: 'li', name: '李文静', since: 1_000 }

it('names the colleague who was quicker, with hospital and time', () => { // COR-15
  expect(holderIn(refusal('consult/held', { by: { ...li, hospitalName: '青岚市第一医院' } }))).toMatchObject({ name: '李文静', hospitalName: '青岚市第一医院', since: 1_000 })
  expect(holderIn(refusal('consult/not-open', { state: 'signed' }))).toBeUndefined()
})
