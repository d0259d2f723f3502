import { newEventId } from '../../service-kit/src/audit/draft.ts'
import { append, chain, lockHead } from '../../service-kit/src/audit/chain.ts'
import type { Trail } from 'service-kit'
import type { AuditAction, AuditOutcome, AuditRecord } from 'specs'

type Draft = Omit<AuditRecord, 'seq' | 'prevHash' | 'recordedAt'>

/** A hospital of some size, for three years. */
export const people = 900
export const patients = 400_000
export const addresses = 350
const SPAN_MS = 3 * 365 * 86_400_000
const STEP = 10_000
const CHECKPOINT_EVERY = 100_000

/** How often each of these is told, of a thousand records. */
const mix: readonly (readonly [AuditAction, number])[] = [
  ['image.view', 430], ['exam.list', 190], ['exam.read', 120], ['study.archive', 100], ['dicom.association', 60], ['session.sign-in', 40], ['exam.change', 25], ['audit.read', 10],
  ['transfer.send', 10], ['transfer.receive', 8], ['image.export', 3], ['access.refused', 3],
] // prettier-ignore
const rare: readonly AuditAction[] = ['account.create', 'account.change', 'rule.change', 'break-glass.open', 'patient.unmask']
const byThousandth = mix.flatMap(([action, times]) => Array.from({ length: times }, () => action))

/** The same numbers in every run. */
export function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

export const personOf = (number: number): string => `u-${String(number).padStart(4, '0')}`
export const patientKeyOf = (number: number): string => number.toString(16).padStart(32, '0')
export const studyOf = (number: number): string => `1.2.840.113619.2.55.3.2831164${number}`
export const addressOf = (number: number): string => `10.${number >> 8}.${number & 255}.7`

/** A few look all day, most now and then. */
const somebody = (random: (below: number) => number) => Math.floor((random(1_000) * random(1_000) * people) / 1_000_000)

function draftAt(at: number, random: (below: number) => number): Draft {
  const dice = random(1_000)
  const action = dice === 999 ? (rare[random(rare.length)] ?? 'account.change') : (byThousandth[dice] ?? 'image.view')
  const person = somebody(random)
  const patient = random(patients)
  const isMachine = action === 'study.archive' || action === 'dicom.association'
  const outcome: AuditOutcome = action === 'access.refused' || random(200) === 0 ? 'refused' : 'success'
  const isAbroad = random(50) === 0
  return {
    v: 1, eventId: newEventId(at), at, node: 'yunxi', hospital: 'yunxi', action, outcome,
    actor: isMachine
      ? { kind: 'dicom-node', id: `CT0${random(8)}`, sourceIp: addressOf(random(20)) }
      : { kind: 'user', id: personOf(person), name: `医生${person}`, roles: ['doctor'], authMethod: 'password', sessionId: `s-${person}-${Math.floor(at / 28_800_000)}`, sourceIp: addressOf(person % addresses), device: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/130' },
    object: action === 'exam.list' ? { type: 'exam', id: '*', owner: 'yunxi' as never } : { type: 'study', id: studyOf(patient * 2 + random(2)), owner: (isAbroad ? `hospital-${random(12)}` : 'yunxi') as never, patientKey: patientKeyOf(patient), ...(random(100) === 0 && { label: 'vip' }) },
    purpose: 'treatment',
    ...(outcome === 'success' ? { basis: 'own-exam' } : { code: 'access/forbidden' }),
    traceId: at.toString(16).padStart(32, '0'),
  } // prettier-ignore
}

/** Fills a trail through its own chain, with its indexes away meanwhile: only how long it takes differs from three years of use. */
export async function fillTrail(trail: Trail, records: number, now: number): Promise<void> {
  const { db } = trail
  const random = numbers(7)
  const indexes = await db.all<{ name: string; sql: string }>(`SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'audit_record' AND sql IS NOT NULL`)
  for (const { name } of indexes) await db.run(`DROP INDEX ${name}`)
  for (let made = 0; made < records; made += STEP) {
    const count = Math.min(STEP, records - made)
    const drafts = Array.from({ length: count }, (_each, index) => draftAt(Math.round(now - SPAN_MS + ((made + index) / records) * SPAN_MS), random))
    const sealed = await db.write(async (tx) => {
      const head = await lockHead(tx, db.dialect)
      const chained = chain(head, drafts, drafts[0]?.at ?? now)
      const last = chained.at(-1)
      if (last === undefined) throw new Error('no records')
      const seal = trail.tail.seal({ trailId: head.trailId, seq: last.record.seq, hash: last.hash })
      await append(tx, db.dialect, chained, now, seal)
      return seal
    })
    trail.tail.wrote(sealed)
    if ((made + count) % CHECKPOINT_EVERY === 0) await trail.makeCheckpoint()
  }
  for (const { sql } of indexes) await db.run(sql)
}
