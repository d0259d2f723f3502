import type { Doing } from '../decide-access.ts'
import type { ExamFacts } from './exam-facts.ts'
import { bitOf, bitsOf, classKeysOf, isInForce, namesOne, objectKey, oneKeysOf, subjectKey, type AccessRule, type Moment } from './rule.ts'

interface IndexedRule {
  readonly rule: AccessRule
  readonly subject: string
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

/** The single exams and patients that rules close or open to one asker, by their keys. */
export interface NamedOnes {
  readonly denied: ReadonlySet<string>
  readonly reserved: ReadonlySet<string>
  readonly allowed: ReadonlySet<string>
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
  readonly #ofClasses: IndexedRule[] = []
  readonly size: number

  constructor(rules: readonly AccessRule[]) {
    this.size = rules.length
    for (const rule of rules) {
      const entry = { rule, subject: subjectKey(rule.subject), bits: bitsOf(rule.doings) }
      add(this.#byObject, objectKey(rule.object), entry)
      if (!namesOne(rule.object)) this.#ofClasses.push(entry)
      else {
        add(this.#onesBySubject, entry.subject, entry)
        if (rule.effect === 'only') this.#reservingOnes.push(entry)
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

  /** Rules about classes of exams that are in force for this doing: few, so that a query may name them one by one. */
  classRules(doing: Doing, moment: Moment): readonly { readonly rule: AccessRule; readonly subject: string }[] {
    const bit = bitOf(doing)
    return this.#ofClasses.filter(({ rule, bits }) => (bits & bit) !== 0 && isInForce(rule, moment))
  }

  /**
   * The exams and patients that rules name one by one for this asker, where they are few enough to be written into a query.
   * @returns undefined when there are more than `most` of a kind.
   */
  namedOnes(subjects: ReadonlySet<string>, doing: Doing, moment: Moment, most: number): NamedOnes | undefined {
    const bit = bitOf(doing)
    const holds = ({ rule, bits }: IndexedRule) => (bits & bit) !== 0 && isInForce(rule, moment)
    const [denied, allowed, own, reserved] = [new Set<string>(), new Set<string>(), new Set<string>(), new Set<string>()]
    for (const subject of subjects)
      for (const entry of this.#onesBySubject.get(subject) ?? []) {
        if (!holds(entry)) continue
        const key = objectKey(entry.rule.object)
        if (entry.rule.effect === 'deny') denied.add(key)
        else allowed.add(key)
        if (entry.rule.effect === 'only') own.add(key)
        if (denied.size > most || allowed.size > most) return undefined
      }
    for (const entry of this.#reservingOnes) {
      if (subjects.has(entry.subject) || !holds(entry)) continue
      const key = objectKey(entry.rule.object)
      if (!own.has(key)) reserved.add(key)
      if (reserved.size > most) return undefined
    }
    return { denied, reserved, allowed }
  }
}

function add(map: Map<string, IndexedRule[]>, key: string, entry: IndexedRule): void {
  const known = map.get(key)
  if (known) known.push(entry)
  else map.set(key, [entry])
}
