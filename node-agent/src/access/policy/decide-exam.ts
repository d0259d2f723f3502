import type { ExamLabel, Right, Scope } from 'specs'
import type { Doing } from '../decide-access.ts'
import type { ExamFacts } from './exam-facts.ts'
import type { AccessRule, Moment } from './rule.ts'
import type { RuleBook, RuleFindings } from './rule-book.ts'

/** Whose exams staff see without an explicit rule (setting `access.relation`, SEC-05). */
export type RelationPolicy = 'hospital' | 'department' | 'treating'

/** Who asks, as the policy sees it: a person or an interface of the own hospital, or a DICOM node of the house. */
export interface Subject {
  readonly id: string
  /** `everybody`, `user:…`, `role:…`, `group:…`: what rules may call the subject. */
  readonly keys: ReadonlySet<string>
  /** Where each right holds; a right that is absent is not held. */
  readonly scopes: ReadonlyMap<Right, readonly Scope[]>
  readonly department: string
  /** Labels beyond `ordinary` that the subject is cleared for. */
  readonly clearance: ReadonlySet<ExamLabel>
}

/** An emergency access that was opened with a reason and has not ended. */
export interface BreakGlass {
  readonly breakGlassId: string
  readonly subjectId: string
  readonly patientId: string
  readonly until: number
}

export interface ExamQuestion {
  readonly subject: Subject
  readonly doing: Doing
  readonly right: Right
  readonly exam: ExamFacts
  readonly relation: RelationPolicy
  readonly rules: RuleBook
  readonly breakGlass: readonly BreakGlass[]
  readonly moment: Moment
}

/** What an emergency is good for: seeing. Nobody exports, changes or deletes by it. */
export const emergencyDoings: ReadonlySet<Doing> = new Set<Doing>(['list', 'read', 'view', 'unmask'])

/** Whoever enters an exam or its images learns nothing by it: neither relation nor clearance is asked for, only where and what. */
export const enteringDoings: ReadonlySet<Doing> = new Set<Doing>(['register', 'store'])

export type Because = 'own-exam' | 'own-department' | 'treating' | 'rule' | 'break-glass'

/** The steps of a decision, in order; the first that fails refuses. Shown to administrators as "why was I refused". */
export type Step =
  | { readonly step: 'right'; readonly passed: boolean; readonly right: Right }
  | { readonly step: 'scope'; readonly passed: boolean; readonly misses: readonly (keyof Scope)[] }
  | { readonly step: 'deny'; readonly passed: boolean; readonly ruleId?: string }
  | { readonly step: 'only'; readonly passed: boolean; readonly ruleId?: string }
  | { readonly step: 'relation'; readonly passed: boolean; readonly because?: Because; readonly ruleId?: string }
  | { readonly step: 'clearance'; readonly passed: boolean; readonly label: ExamLabel; readonly because?: Because }

export type ExamDecision =
  | { readonly allowed: true; readonly because: Because; readonly ruleId?: string; readonly breakGlassId?: string }
  | { readonly allowed: false; readonly failed: Step['step']; readonly ruleId?: string }

/**
 * Whether the subject may do this to an exam of the own hospital. Pure, and the same as the condition that sql-condition.ts writes
 * (a property test holds them together).
 *
 * right ∧ scope ∧ ¬deny ∧ ¬reserved for others ∧ (relation ∨ allow ∨ break-glass) ∧ (cleared ∨ allow of this very exam ∨ break-glass)
 */
export function decideExam(question: ExamQuestion, trace?: Step[]): ExamDecision {
  const { subject, right, exam, doing, rules, moment } = question
  const scopes = subject.scopes.get(right)
  trace?.push({ step: 'right', passed: scopes !== undefined, right })
  if (scopes === undefined) return { allowed: false, failed: 'right' }

  const isWithin = scopes.some((scope) => missesOf(scope, exam).length === 0)
  trace?.push({ step: 'scope', passed: isWithin, misses: isWithin ? [] : [...new Set(scopes.flatMap((scope) => missesOf(scope, exam)))] })
  if (!isWithin) return { allowed: false, failed: 'scope' }

  const found = rules.ask(subject.keys, doing, exam, moment)
  trace?.push({ step: 'deny', passed: !found.deniedBy, ...idOf(found.deniedBy) })
  if (found.deniedBy) return { allowed: false, failed: 'deny', ...idOf(found.deniedBy) }
  trace?.push({ step: 'only', passed: !found.reservedBy, ...idOf(found.reservedBy) })
  if (found.reservedBy) return { allowed: false, failed: 'only', ...idOf(found.reservedBy) }

  const emergency = emergencyDoings.has(doing)
    ? question.breakGlass.find(({ subjectId, patientId, until }) => subjectId === subject.id && patientId === exam.patientId && moment.now < until)
    : undefined
  const relation = relationOf(question, found, emergency)
  trace?.push({ step: 'relation', passed: relation !== undefined, ...(relation && { because: relation.because }), ...idOf(relation?.rule) })
  if (!relation) return { allowed: false, failed: 'relation' }

  const isCleared = exam.label === 'ordinary' || subject.clearance.has(exam.label) || enteringDoings.has(doing)
  const instead = found.allowedBy ? 'rule' : emergency ? 'break-glass' : undefined
  trace?.push({
    step: 'clearance',
    passed: isCleared || instead !== undefined,
    label: exam.label,
    ...(!isCleared && instead && { because: instead }),
  })
  if (!isCleared && instead === undefined) return { allowed: false, failed: 'clearance' }

  if (!isCleared && instead === 'rule') return { allowed: true, because: 'rule', ...idOf(found.allowedBy) }
  const byEmergency = relation.because === 'break-glass' || (!isCleared && instead === 'break-glass')
  if (byEmergency && emergency) return { allowed: true, because: 'break-glass', breakGlassId: emergency.breakGlassId }
  return { allowed: true, because: relation.because, ...idOf(relation.rule) }
}

/** Why this exam is the subject's business; undefined: it is not. */
function relationOf(
  { subject, exam, relation, doing }: ExamQuestion,
  found: RuleFindings,
  emergency: BreakGlass | undefined,
): { because: Because; rule?: AccessRule } | undefined {
  if (relation === 'hospital' || enteringDoings.has(doing)) return { because: 'own-exam' }
  if (isTreating(subject, exam)) return { because: 'treating' }
  if (relation === 'department' && isOf(subject.department, exam.department)) return { because: 'own-department' }
  const rule = found.allowedBy ?? found.classAllowedBy
  if (rule) return { because: 'rule', rule }
  return emergency && { because: 'break-glass' }
}

const isOf = (department: string, other: string): boolean => department !== '' && department === other

/** 诊疗关系: requested by this physician or from this department. */
const isTreating = (subject: Subject, exam: ExamFacts): boolean =>
  (exam.requestingPhysician !== '' && exam.requestingPhysician === subject.id) || isOf(subject.department, exam.requestingDepartment)

const scoped = [
  ['campuses', 'campus'],
  ['departments', 'department'],
  ['areas', 'area'],
  ['modalities', 'modality'],
] as const

/** Where a scope and the column of an exam meet. An exam that does not say its campus is in nobody's campus scope. */
export const scopedColumns: readonly (readonly [keyof Scope, 'campus' | 'department' | 'area' | 'modality'])[] = scoped

function missesOf(scope: Scope, exam: ExamFacts): (keyof Scope)[] {
  const misses: (keyof Scope)[] = []
  for (const [list, fact] of scoped) {
    const named = scope[list]
    if (named !== undefined && !named.includes(exam[fact])) misses.push(list)
  }
  return misses
}

const idOf = (rule: AccessRule | undefined): { ruleId?: string } => (rule ? { ruleId: rule.ruleId } : {})
