import { type AuditAction, type AuditActor, type AuditEvent, type HospitalId, type StudyInstanceUid } from 'specs'
import type { AuditTrail } from 'service-kit'
import type { AccessDecision, AccessRequest, Asker, Doing } from '../access/decide-access.ts'
import { actorElsewhere } from './actor-elsewhere.ts'
import { keptTerms, type KeptTerm, type Search } from './search-terms.ts'

const actions: Readonly<Record<Doing, AuditAction> & Record<string, AuditAction>> = {
  list: 'exam.list',
  read: 'exam.read',
  view: 'image.view',
  export: 'image.export',
  register: 'exam.register',
  change: 'exam.change',
  apply: 'consult.apply',
  store: 'study.store',
  unmask: 'patient.unmask',
  delete: 'exam.delete',
}
/** Where the act itself leaves a record with more in it (old and new values, instances, steps), being allowed to begin it is not told. */
const toldByTheAct: ReadonlySet<string> = new Set<string>(['register', 'change', 'apply', 'store', 'delete', 'unmask', 'export'])

/** What was looked through, and by which words. */
export interface Searched {
  readonly action: 'exam.search' | 'study.search'
  readonly by: Search
}

export interface AccessAsked {
  readonly asker: Asker
  readonly doing: Doing
  readonly purpose: string
  readonly exam: AccessRequest['exam']
  readonly decision: AccessDecision
  /** Of the grant that a hospital showed. */
  readonly authorisationId?: string | undefined
  /** By what a list was searched. */
  readonly search?: Searched | undefined
}

/** Tells the trail what the policy decided: every look at a study, every refusal. Repetitions are folded there. */
export class AccessEvents {
  readonly #trail: AuditTrail
  readonly #here: HospitalId
  readonly #patientKeyOf: (study: StudyInstanceUid) => Promise<string | undefined>

  constructor(trail: AuditTrail, here: HospitalId, patientKeyOf: (study: StudyInstanceUid) => Promise<string | undefined>) {
    this.#trail = trail
    this.#here = here
    this.#patientKeyOf = patientKeyOf
  }

  async tell(asked: AccessAsked): Promise<void> {
    const { decision, doing, exam, search } = asked
    if (decision.allowed && toldByTheAct.has(doing)) return
    const { study, facts } = exam
    const isOurs = exam.owner === this.#here
    const ofRegister = facts && facts.patientId !== '' ? this.#trail.patientKey(this.#here, facts.patientId) : undefined
    const patientKey = ofRegister ?? (study !== undefined && isOurs ? await this.#patientKeyOf(study) : undefined)
    const kept = search && keptTerms(this.#trail, this.#here, search.by)
    this.#trail.note(eventOf(asked, kept?.patientKey ?? patientKey, kept?.terms))
  }
}

function eventOf({ asker, doing, purpose, exam, decision, authorisationId, search }: AccessAsked, patientKey: string | undefined, terms: readonly KeptTerm[] = []): AuditEvent {
  const { study, owner, taskId } = exam
  const actor = actorOf(asker)
  const { ruleId, breakGlassId, grantId = undefined } = decision.allowed ? decision : { ruleId: decision.facts['ruleId'], breakGlassId: undefined }
  const facts = {
    ...(taskId !== undefined && { taskId }),
    ...((authorisationId ?? grantId) !== undefined && { authorisationId: authorisationId ?? grantId }),
    ...(ruleId !== undefined && { ruleId }),
    ...(breakGlassId !== undefined && { breakGlassId }),
    ...(terms.length > 0 && { terms }),
  }
  const label = exam.facts?.label
  const what = study === undefined ? ({ type: 'exam', id: exam.examId ?? '*' } as const) : ({ type: 'study', id: study } as const)
  return {
    action: asker.kind === 'dicom-node' && doing === 'list' ? 'study.search' : search && terms.length > 0 ? search.action : actions[doing],
    outcome: decision.allowed ? 'success' : 'refused',
    ...(actor && { actor }),
    object: { ...what, owner, ...(patientKey !== undefined && { patientKey }), ...(label !== undefined && label !== 'ordinary' && { label }) },
    purpose,
    ...(decision.allowed ? { basis: decision.because } : { code: decision.code }),
    ...(Object.keys(facts).length > 0 && { facts }),
  }
}

/** A user's name, roles and session stand in the context of the request; the id alone is what the policy knows. */
function actorOf(asker: Asker): AuditActor | undefined {
  if (asker.kind === 'hospital' && asker.person) return actorElsewhere(asker.hospitalId, asker.person)
  if (asker.kind === 'hospital') return { kind: 'hospital', id: asker.hospitalId, hospitalId: asker.hospitalId }
  if (asker.kind === 'dicom-node') return { kind: 'dicom-node', id: asker.aeTitle }
  // Sessions of patients are no accounts: the trail names them by the patient's key alone.
  if (asker.kind === 'patient') return { kind: 'stranger', id: 'patient' }
  return { kind: 'user', id: asker.subject.id }
}
