import type { Database, Queries, SqlValue } from 'service-kit'
import type { HospitalId, StudyInstanceUid } from 'specs'
import type { ExamsCondition } from './access-control.ts'
import type { ExamFacts } from './policy/exam-facts.ts'

const columns = `exam_id AS "examId", patient_id AS "patientId", campus, department, area, modality, label, requesting_department AS "requestingDepartment",
  requesting_physician AS "requestingPhysician"`

export type ExamKey = { readonly examId?: string | undefined; readonly study?: StudyInstanceUid | undefined }

export interface ExamRegisterParts {
  readonly db: Database
  readonly hospitalId: HospitalId
  /** Enters the images that have arrived but wait for their exam; a moment at most. */
  readonly settle: () => Promise<void>
}

/** What rights ask of the register of exams. Images follow the exam they are linked to; without one nobody may see them. */
export class ExamRegister {
  readonly #parts: ExamRegisterParts

  constructor(parts: ExamRegisterParts) {
    this.#parts = parts
  }

  async factsOf(key: ExamKey): Promise<ExamFacts | undefined> {
    const { db, hospitalId, settle } = this.#parts
    const facts = await factsInRegister(db, hospitalId, key)
    if (facts !== undefined || key.examId !== undefined) return facts
    await settle() // images that came a moment ago
    return factsInRegister(db, hospitalId, key)
  }

  /** Of these studies, the ones whose exam meets the condition. */
  async permitted(studies: readonly string[], condition: ExamsCondition): Promise<ReadonlySet<string>> {
    const { db, settle } = this.#parts
    const permitted = await studiesIn(db, studies, condition)
    if (permitted.size === studies.length) return permitted
    const registered = await studiesIn(db, studies, () => '1 = 1')
    if (registered.size === studies.length) return permitted
    await settle()
    return studiesIn(db, studies, condition)
  }

  /** Every study whose exam meets the condition; undefined when there are more than `most`. */
  async allPermitted(condition: ExamsCondition, most: number): Promise<readonly string[] | undefined> {
    const { bind, params } = binding()
    const where = `e.study_instance_uid IS NOT NULL AND ${condition('e', bind)}`
    const rows = await this.#parts.db.all<{ study: string }>(`SELECT e.study_instance_uid AS "study" FROM exam e WHERE ${where} LIMIT ${bind(most + 1)}`, params)
    return rows.length > most ? undefined : rows.map(({ study }) => study)
  }
}

export type NamedExams = { readonly examId: string } | { readonly patientId: string } | { readonly accessionNumber: string } | { readonly studyInstanceUid: string }

/** Every exam that is meant; a patient or an accession number may have several. */
export async function factsWhere(db: Queries, owner: HospitalId, named: NamedExams): Promise<ExamFacts[]> {
  const [column, id] =
    'examId' in named
      ? ['exam_id', named.examId]
      : 'patientId' in named
        ? ['patient_id', named.patientId]
        : 'accessionNumber' in named
          ? ['accession_number', named.accessionNumber]
          : ['study_instance_uid', named.studyInstanceUid]
  const rows = await db.all<Omit<ExamFacts, 'owner'>>(`SELECT ${columns} FROM exam WHERE ${column} = $1 ORDER BY received_at DESC LIMIT 200`, [id])
  return rows.map((row) => ({ ...row, owner }))
}

export async function factsInRegister(db: Queries, owner: HospitalId, { examId, study }: ExamKey): Promise<ExamFacts | undefined> {
  const [column, id] = examId === undefined ? ['study_instance_uid', study] : ['exam_id', examId]
  if (id === undefined) return undefined
  const row = await db.get<Omit<ExamFacts, 'owner'>>(`SELECT ${columns} FROM exam WHERE ${column} = $1`, [id])
  return row && { ...row, owner }
}

async function studiesIn(db: Queries, studies: readonly string[], condition: ExamsCondition): Promise<Set<string>> {
  const found = new Set<string>()
  for (let from = 0; from < studies.length; from += 500) {
    const { bind, params } = binding()
    const among = studies.slice(from, from + 500).map(bind)
    const where = `e.study_instance_uid IN (${among.join(', ')}) AND ${condition('e', bind)}`
    for (const { study } of await db.all<{ study: string }>(`SELECT e.study_instance_uid AS "study" FROM exam e WHERE ${where}`, params)) found.add(study)
  }
  return found
}

function binding() {
  const params: SqlValue[] = []
  return { params, bind: (value: SqlValue) => `$${params.push(value)}` }
}
