import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { openDatabase } from 'service-kit'
import { services, type SignedGrant } from 'specs'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import type { ApiUser } from '../../scripts/region/api.ts'
import { eventually } from '../support/region.ts'
import { aConsult } from './support/a-consult.ts'
import { Intruder } from './support/intruder.ts'
import { readTable } from './support/table.ts'
import { ask, bearer } from './support/visitor.ts'

const { hub, node, otherNode, exam, dir, password } = inject('grounds')
const now = () => Date.now()

/** The keys of a member hospital in wrong hands, which know the real ids of what goes on between two others. */
describe('a stolen node with the ids of others', () => {
  let intruder: Intruder
  let applicant: ApiUser
  let taskId = ''
  /** Given to the other hospital for the task, with the owner's genuine signature. */
  let grant: SignedGrant
  const taskAtHub = async () => (await ask(hub.url, { method: 'GET', path: `/api/tasks/${taskId}`, headers: bearer(hub.tokens['region-admin'] ?? '') })).text
  const refusedAtHub = async () => {
    const { text } = await ask(hub.url, { method: 'GET', path: '/api/refusals?limit=200', headers: bearer(hub.tokens['observer'] ?? '') })
    return (JSON.parse(text) as { rows: { source: string; code: string; facts: { command?: string } }[] }).rows.filter(({ source }) => source === intruder.id)
  }

  beforeAll(async () => {
    ;({ taskId, applicant } = await aConsult(node, otherNode, password, { examId: exam.examId, question: '请会诊' }))
    intruder = await Intruder.join('hospital-y', { hub, node })
    const db = await openDatabase({ dialect: 'sqlite', file: join(dir, node.id, 'data', 'node.sqlite') })
    const rows = await db.all<{ signed: string }>('SELECT signed FROM exam_grant')
    await db.close()
    grant = rows.map(({ signed }) => JSON.parse(signed) as SignedGrant).find((each) => each.grant.taskId === taskId) as SignedGrant
    expect(grant.grant.grantees).toEqual([otherNode.id])
  }, 120_000)
  afterAll(() => intruder?.nats.close())

  it('moves no task that is not offered to it, whatever it commands and whoever it says it is', async () => {
    // FED-05, COR-15. Shown to fail with refuseStranger, and the comparison of by.hospitalId, taken out of decide().
    const before = await taskAtHub()
    const command = (type: string, more: object = {}, hospitalId: string = intruder.id) => ({ commandId: randomUUID(), taskId, at: now(), type, by: { hospitalId, userId: 'u1', name: '无此人' }, ...more })
    const steps = { claim: { expectedRevision: 1 }, release: { reason: 'x' }, decline: { reason: 'x' }, start: {}, sign: { sealed: 'x' }, return: {}, read: {}, print: {}, cancel: { reason: 'x' }, 'images-arrived': { instanceCount: 1, sizeBytes: 1 } }
    for (const [type, more] of Object.entries(steps)) {
      await intruder.post('consult.command', command(type, more))
      await intruder.post('consult.command', command(type, more, otherNode.id))
    }
    expect(Object.values(await intruder.outcomes())).toEqual([]) // each was answered
    const refused = await eventually('every command is refused', async () => { const rows = await refusedAtHub(); return rows.length >= 20 && rows }) // prettier-ignore
    for (const type of Object.keys(steps)) expect(refused.filter(({ facts }) => facts.command === type).map(({ code }) => code.replace(/not-yours|not-offered-here/, 'not-ours')).sort(), type).toEqual(['consult/not-ours', 'envelope/wrong-sender'])
    expect(await taskAtHub()).toBe(before)
  })

  it('sends no message of a kind that is another party’s to send, nor in another’s name', async () => {
    // FED-05, SEC-11. Shown to fail with the comparison of the party taken out of Witness.take, and that of the viewer out of region-audit.
    const { rows } = readTable('line')
    const hubsOwn = rows.filter(({ door, who }) => door.startsWith('node message ') && who.includes('hub')).map(({ door }) => door.slice('node message '.length))
    expect(hubsOwn.length).toBeGreaterThanOrEqual(5)
    const [checkpoint] = JSON.parse((await ask(node.url, { method: 'GET', path: '/api/audit/checkpoints?limit=1', headers: bearer(node.tokens['audit-admin'] ?? '') })).text) as { checkpoint: object; signed: object }[]
    const viewing = { at: now(), side: 'viewer', viewer: otherNode.id, owner: node.id, actorId: 'u', actorName: 'u', action: 'image.view', outcome: 'success', studyInstanceUid: exam.study, taskId: null, basis: null, authorisationId: null, code: null }
    const attempts: (readonly [string, unknown, string])[] = [
      ...hubsOwn.map((kind) => [kind, { taskId, version: 9_999_999 }, 'message/unknown-kind'] as const),
      ['audit.checkpoint', checkpoint, 'access/forbidden'],
      ['audit.cross-viewing', { events: [{ ...viewing, eventId: randomUUID() }] }, 'access/forbidden'],
      ['consult.command', { commandId: 'x' }, 'request/invalid'],
      ['region.problem', { code: 1 }, 'request/invalid'],
      ['audit.health', {}, 'request/invalid'],
      ['__proto__', {}, 'message/unknown-kind'],
      ['constructor', {}, 'message/unknown-kind'],
    ]
    const first = await intruder.outcomes()
    for (const [kind, body] of attempts) await intruder.post(kind, body)
    const told = Object.values(await intruder.outcomes())
    expect(Object.keys(first)).toEqual([])
    expect(told.sort()).toEqual(attempts.map(([, , code]) => code).sort())
    const seen = await ask(hub.url, { method: 'GET', path: `/api/cross-viewing?studyInstanceUid=${exam.study}`, headers: bearer(hub.tokens['audit-admin'] ?? '') })
    expect(seen.text).not.toContain('"actorName":"u"')
  })

  it('reads, fetches and ends nothing under the genuine grant of another hospital', async () => {
    // FED-34, FED-37, IDOR over grants, studies, transfers and consents. Shown to fail with the grantee not compared in decideShared.
    const study = exam.study
    const asks: Record<string, (service: string) => object> = {
      [services.examRead]: () => ({ studyInstanceUid: study, taskId, grant }),
      [`${services.examRead} `]: (service) => ({ studyInstanceUid: study, taskId, grant, assertion: intruder.asserts(service, { studyInstanceUid: study as never }) }),
      [services.transferOpen]: () => ({ studyInstanceUid: study, grant, purpose: 'pull' }),
      [`${services.transferOpen} `]: () => ({ studyInstanceUid: study, grant: { ...grant, grant: { ...grant.grant, grantees: [intruder.id] } }, purpose: 'pull' }),
      [services.grantAsk]: (service) => ({ studyInstanceUid: study, purpose: 'consultation', assertion: intruder.asserts(service, { studyInstanceUid: study as never }) }),
    }
    for (const [name, body] of Object.entries(asks)) {
      const service = name.trim()
      expect(await intruder.call('node', service, intruder.seal('node', service, body(service))), name).toMatch(/^access\/(no-grant|grant-invalid|not-grantee|no-authorisation|forbidden)/)
    }
    // Whether a grant of others holds is none of its business: it hears the same of one that never was.
    const standing = await intruder.ask('node', services.grantStanding, intruder.seal('node', services.grantStanding, { grantIds: [grant.grant.grantId, randomUUID()] }))
    expect((standing.body as { withdrawn: unknown[] }).withdrawn).toHaveLength(2)
    const { consentId } = JSON.parse((await ask(node.url, { method: 'POST', path: '/api/consents', body: { direction: 'receive', patient: { name: '张三', birthDate: '1970-01-01' }, form: 'signature', textVersion: '2026-11', purposes: ['treatment'], expires: now() + 86_400_000 }, headers: bearer(node.tokens['registrar'] ?? '') })).text) as { consentId: string }
    for (const [service, body] of [[services.grantWithdrawn, { grants: [{ grantId: grant.grant.grantId, withdrawnAt: now() }] }], [services.consentWithdrawn, { consentId, withdrawnAt: now() }]] as const) expect(await intruder.call('node', service, intruder.seal('node', service, body))).toBe('answered')
    const { rows } = JSON.parse((await ask(node.url, { method: 'GET', path: '/api/grants', headers: bearer(node.tokens['records'] ?? '') })).text) as { rows: { grantId: string; state: string }[] }
    expect(rows.find(({ grantId }) => grantId === grant.grant.grantId)?.state).toBe('valid')
    const consents = JSON.parse((await ask(node.url, { method: 'GET', path: '/api/consents', headers: bearer(node.tokens['registrar'] ?? '') })).text) as { consentId: string; state: string }[]
    expect(consents.find((consent) => consent.consentId === consentId)?.state).toBe('valid')
    // A session of the other hospital's transfer, by its real id, with frames of our own making.
    const outgoing = (await applicant.get<{ rows: { transferId: string; direction: string }[] }>('/api/transfers')).rows.find(({ direction }) => direction === 'out')
    if (outgoing) {
      const more = { studyInstanceUid: study, grant, purpose: 'pull', more: { sessionId: outgoing.transferId, fromRow: 1 } }
      expect(await intruder.call('node', services.transferOpen, intruder.seal('node', services.transferOpen, more))).toBe('transfer/unknown-session')
    }
    await applicant.send('POST', `/api/consults/${taskId}/cancel`, { reason: '测试结束' })
  })
})
