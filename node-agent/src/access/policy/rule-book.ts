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

/**
 * The rules of a hospital, found by what they are about. A question costs a handful of map look-ups however many rules there are
 * (10,000 and more), since an exam has only one identity, one patient and five classes.
 */
export class RuleBook {
  readonly #byObject = new Map<string, IndexedRule[]>()
  readonly size: number

  constructor(rules: readonly AccessRule[]) {
    this.size = rules.length
    for (const rule of rules) {
      const key = objectKey(rule.object)
      const entry = { rule, subject: subjectKey(rule.subject), bits: bitsOf(rule.doings) }
      const known = this.#byObject.get(key)
      if (known) known.push(entry)
      else this.#byObject.set(key, [entry])
    }
  }

  /** @param subjects every key of the asker: `everybody`, `user:…`, `role:…`, `group:…`. */
  ask(subjects: ReadonlySet<string>, doing: Doing, exam: ExamFacts, moment: Moment): RuleFindings {
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
    for (const key of oneKeysOf(exam)) look(key, 'one')
    for (const key of classKeysOf(exam)) look(key, 'class')
    return { deniedBy, reservedBy, allowedBy: allowed.one, classAllowedBy: allowed.class }
  }

  /** Rules about classes of exams that are in force for this doing: few, so that a query may name them one by one. */
  classRules(doing: Doing, moment: Moment): readonly { readonly rule: AccessRule; readonly subject: string }[] {
    const bit = bitOf(doing)
    const found: { rule: AccessRule; subject: string }[] = []
    for (const entries of this.#byObject.values()) {
      // All entries of one key are about the same object.
      if (entries[0] && namesOne(entries[0].rule.object)) continue
      for (const { rule, subject, bits } of entries) if ((bits & bit) !== 0 && isInForce(rule, moment)) found.push({ rule, subject })
    }
    return found
  }
}
