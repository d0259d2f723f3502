import { EpochMs } from 'specs'
import { z } from 'zod'
import type { Doing } from '../decide-access.ts'
import { classKinds, type ExamFacts } from './exam-facts.ts'

/**
 * 访问规则: what the security administrator says beyond roles (SEC-03).
 * - `deny`: whoever it names may not, whatever else allows it.
 * - `only`: nobody but whom the `only` rules of the same object name.
 * - `allow`: stands in for a treating relation; for one exam or one patient also for clearance. Never for a right of the role.
 */
export const RuleEffect = z.enum(['allow', 'deny', 'only'])
export type RuleEffect = z.infer<typeof RuleEffect>

export const RuleSubject = z.union([
  z.strictObject({ kind: z.literal('everybody') }),
  z.strictObject({ kind: z.enum(['user', 'role', 'group', 'dicom-node', 'hospital']), id: z.string().min(1).max(128) }),
])
export type RuleSubject = z.infer<typeof RuleSubject>

export const RuleObject = z.union([
  z.strictObject({ kind: z.literal('any') }),
  z.strictObject({ kind: z.enum(['exam', 'patient', ...classKinds]), id: z.string().min(1).max(128) }),
])
export type RuleObject = z.infer<typeof RuleObject>

/** Every doing has a bit, so that SQL and memory ask the same question. The order is stored and never changes. */
export const doings = [
  'list',
  'read',
  'view',
  'export',
  'register',
  'change',
  'apply',
  'store',
  'unmask',
  'delete',
] as const satisfies readonly Doing[]
export const RuleDoings = z.array(z.enum(doings)).min(1)

const Minute = z.number().int().min(0).max(1440)

/** Working hours in the hospital's time zone; from 22:00 until 06:00 goes over midnight. `days`: 1 Monday … 7 Sunday. */
export const RuleHours = z.strictObject({ fromMinute: Minute, untilMinute: Minute, days: z.array(z.number().int().min(1).max(7)).min(1) })
export type RuleHours = z.infer<typeof RuleHours>

export const AccessRule = z.strictObject({
  ruleId: z.string().min(1).max(64),
  effect: RuleEffect,
  subject: RuleSubject,
  object: RuleObject,
  /** Null: whatever one may do. */
  doings: RuleDoings.nullable(),
  validFrom: EpochMs,
  validUntil: EpochMs.nullable(),
  hours: RuleHours.nullable(),
  reason: z.string().trim().min(1, '请填写理由').max(500),
})
export type AccessRule = z.infer<typeof AccessRule>

export const EVERYTHING = (1 << doings.length) - 1
/** The columns of the rule table for the hours of a rule. `days` has bit 1 for Monday … bit 7 for Sunday. */
export const storedHours = (hours: RuleHours | null) => ({
  fromMinute: hours?.fromMinute ?? null,
  untilMinute: hours?.untilMinute ?? null,
  days: hours ? hours.days.reduce((bits, day) => bits | (1 << day), 0) : null,
})

export const bitOf = (doing: Doing): number => 1 << doings.indexOf(doing)
export const bitsOf = (named: readonly Doing[] | null): number =>
  named ? named.reduce((bits, doing) => bits | bitOf(doing), 0) : EVERYTHING

/** One text per subject and per object: what rules are found by. */
export const subjectKey = (subject: RuleSubject): string => (subject.kind === 'everybody' ? 'everybody' : `${subject.kind}:${subject.id}`)
export const objectKey = (object: RuleObject): string => (object.kind === 'any' ? 'any' : `${object.kind}:${object.id}`)
export const namesOne = (object: RuleObject): boolean => object.kind === 'exam' || object.kind === 'patient'

/** The keys under which rules may name this exam: itself and its patient, then its classes. */
export const oneKeysOf = (exam: ExamFacts): readonly string[] => [`exam:${exam.examId}`, `patient:${exam.patientId}`]
export const classKeysOf = (exam: ExamFacts): readonly string[] => ['any', ...classKinds.map((kind) => `${kind}:${exam[kind]}`)]

/** A moment as rules see it. */
export interface Moment {
  readonly now: EpochMs
  /** Minutes since midnight in the hospital's time zone, and its day: 1 Monday … 7 Sunday. */
  readonly minute: number
  readonly day: number
}

export function momentAt(now: EpochMs): Moment {
  const local = new Date(now)
  return { now, minute: local.getHours() * 60 + local.getMinutes(), day: local.getDay() === 0 ? 7 : local.getDay() }
}

export function isInForce(rule: Pick<AccessRule, 'validFrom' | 'validUntil' | 'hours'>, { now, minute, day }: Moment): boolean {
  if (now < rule.validFrom || (rule.validUntil !== null && now >= rule.validUntil)) return false
  if (rule.hours === null) return true
  const { fromMinute: from, untilMinute: until, days } = rule.hours
  if (!days.includes(day)) return false
  return from <= until ? minute >= from && minute < until : minute >= from || minute < until
}
