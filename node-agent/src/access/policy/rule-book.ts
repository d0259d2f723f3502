import type { Doing } from '../decide-access.ts'
import type { ExamFacts } from './exam-facts.ts'
import { bitOf, bitsOf, classKeysOf, isInForce, namesOne, objectKey, oneKeysOf, subjectKey, type AccessRule, type Moment } from './rule.ts'

interface IndexedRule {
  readonly rule: AccessRule
  readonly subject: string
  /** What it is about. */
  readonly key: string
  readonly bits: number
}

/** What the rules say of one question. */
export interface RuleFindings {
  readonly deniedBy: AccessRule | undefined
  /** An `only` rule that names others and not the asker. */
  readonly reservedBy: AccessRule | undefined
  /** For this one exam or patient: stands in for relation and clearance. */
  readonly allowedBy: AccessRule | undefined
  /** For a class of exams: stands in for the relation alone. */
  readonly classAllowedBy: AccessRule | undefined
}

/** The single exams and patients that rules name for one asker, by their keys; undefined where they are too many to be written down. */
export interface NamedOnes {
  readonly denied: ReadonlySet<string> | undefined
  readonly reserved: ReadonlySet<string> | undefined
  /** Reserved for the asker. */
  readonly own: ReadonlySet<string> | undefined
  readonly allowed: ReadonlySet<string> | undefined
}

/**
 * The rules of a hospital, found by what they are about. A question costs a handful of map look-ups however many rules there are
 * (10,000 and more), since an exam has only one identity, one patient and five classes.
 */
export class RuleBook {
  readonly #byObject = new Map<string, IndexedRule[]>()
  /** About one exam or patient, by whom they name; and those that reserve one. */
  readonly #onesBySubject = new Map<string, IndexedRule[]>()
  readonly #reservingOnes: IndexedRule[] = []
  readonly #reservingKinds = new Set<string>()
  readonly #withHours = new Set<AccessRule['effect']>()
  readonly #ofClasses: IndexedRule[] = []
  readonly size: number

  constructor(rules: readonly AccessRule[]) {
    this.size = rules.length
    for (const rule of rules) {
      const entry = { rule, subject: subjectKey(rule.subject), key: objectKey(rule.object), bits: bitsOf(rule.doings) }
      add(this.#byObject, entry.key, entry)
      if (!namesOne(rule.object)) this.#ofClasses.push(entry)
      else {
        add(this.#onesBySubject, entry.subject, entry)
        if (rule.hours) this.#withHours.add(rule.effect)
        if (rule.effect === 'only') {
          this.#reservingOnes.push(entry)
          this.#reservingKinds.add(rule.object.kind)
        }
      }
    }
  }

  /** @param subjects every key of the asker: `everybody`, `user:…`, `role:…`, `group:…`. */
  ask(subjects: ReadonlySet<string>, doing: Doing, exam: ExamFacts, moment: Moment): RuleFindings {
    return this.#find(subjects, doing, oneKeysOf(exam), classKeysOf(exam), moment)
  }

  /** Where there is no exam of ours to ask about: rules about everything, and about a modality if it is known. */
  askInGeneral(subjects: ReadonlySet<string>, doing: Doing, moment: Moment, modality = ''): RuleFindings {
    return this.#find(subjects, doing, [], modality === '' ? ['any'] : ['any', `modality:${modality}`], moment)
  }

  #find(subjects: ReadonlySet<string>, doing: Doing, ones: readonly string[], classes: readonly string[], moment: Moment): RuleFindings {
    const bit = bitOf(doing)
    let deniedBy: AccessRule | undefined
    let reservedBy: AccessRule | undefined
    const allowed: { one?: AccessRule; class?: AccessRule } = {}
    const look = (key: string, width: 'one' | 'class') => {
      let foreign: AccessRule | undefined
      let own = false
      for (const { rule, subject, bits } of this.#byObject.get(key) ?? []) {
        if ((bits & bit) === 0 || !isInForce(rule, moment)) continue
        const isMeant = subjects.has(subject)
        if (rule.effect === 'deny') {
          if (isMeant) deniedBy ??= rule
        } else if (isMeant) {
          allowed[width] ??= rule
          own ||= rule.effect === 'only'
        } else if (rule.effect === 'only') foreign = rule
      }
      if (foreign && !own) reservedBy ??= foreign
    }
    for (const key of ones) look(key, 'one')
    for (const key of classes) look(key, 'class')
    return { deniedBy, reservedBy, allowedBy: allowed.one, classAllowedBy: allowed.class }
  }

  /** Rules about classes of exams that are in force and concern the asker, or reserve a class: few, so that a query may name them one by one. */
  classRules(subjects: ReadonlySet<string>, doing: Doing, moment: Moment): readonly { readonly rule: AccessRule; readonly isMeant: boolean }[] {
    const bit = bitOf(doing)
    const found: { rule: AccessRule; isMeant: boolean }[] = []
    for (const { rule, subject, bits } of this.#ofClasses) {
      const isMeant = subjects.has(subject)
      if ((isMeant || rule.effect === 'only') && (bits & bit) !== 0 && isInForce(rule, moment)) found.push({ rule, isMeant })
    }
    return found
  }

  /** The exams and patients that rules name one by one for this asker. @param most of a kind that are written down. */
  namedOnes(subjects: ReadonlySet<string>, doing: Doing, moment: Moment, most: number): NamedOnes {
    const bit = bitOf(doing)
    const holds = ({ rule, bits }: IndexedRule) => (bits & bit) !== 0 && isInForce(rule, moment)
    const [denied, allowed, own] = [new Set<string>(), new Set<string>(), new Set<string>()]
    for (const subject of subjects)
      for (const entry of this.#onesBySubject.get(subject) ?? []) {
        if (!holds(entry)) continue
        if (entry.rule.effect === 'deny') denied.add(entry.key)
        else allowed.add(entry.key)
        if (entry.rule.effect === 'only') own.add(entry.key)
      }
    const few = (keys: Set<string>) => (keys.size > most ? undefined : keys)
    return { denied: few(denied), own: few(own), allowed: few(allowed), reserved: this.#reserved(subjects, own, holds, most) }
  }

  #reserved(subjects: ReadonlySet<string>, own: ReadonlySet<string>, holds: (entry: IndexedRule) => boolean, most: number): Set<string> | undefined {
    const reserved = new Set<string>()
    for (const entry of this.#reservingOnes) {
      if (subjects.has(entry.subject) || !holds(entry)) continue
      if (!own.has(entry.key)) reserved.add(entry.key)
      if (reserved.size > most) return undefined
    }
    return reserved
  }

  /** Whether a rule of this effect about a single exam or patient holds at certain hours only. */
  hasHours(effect: AccessRule['effect']): boolean {
    return this.#withHours.has(effect)
  }

  /** Whether rules reserve single exams, or single patients, for anybody. */
  reserves(kind: 'exam' | 'patient'): boolean {
    return this.#reservingKinds.has(kind)
  }
}

function add(map: Map<string, IndexedRule[]>, key: string, entry: IndexedRule): void {
  const known = map.get(key)
  if (known) known.push(entry)
  else map.set(key, [entry])
}
