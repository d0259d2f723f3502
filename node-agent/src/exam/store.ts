import { randomUUID } from 'node:crypto'
import type { Migration, Queries, SqlValue, Transaction } from 'service-kit'
import { ExamRegistration, noPlacement, Problem, type EpochMs, type ExamChange, type ExamOrigin, type ExamPlacement, type RegionId, type StudyInstanceUid } from 'specs'
import type { ExamsCondition } from '../access/access-control.ts'
import type { StudyRow } from '../archive/archive.ts'
import { contactCondition, type ContactSearch } from '../patient/contact.ts'
import { ageAt, decideExam, factsOfStudy, type Exam } from './exam.ts'

export const examMigrations: readonly Migration[] = [
  {
    name: '0001-exam',
    up: [
      `CREATE TABLE exam (exam_id TEXT PRIMARY KEY, accession_number TEXT NOT NULL, patient_id TEXT NOT NULL, patient_name TEXT NOT NULL,
        patient_sex TEXT NOT NULL, patient_birth_date TEXT NOT NULL, patient_age TEXT NOT NULL, modality TEXT NOT NULL, body_part TEXT NOT NULL,
        description TEXT NOT NULL, study_date TEXT NOT NULL, study_time TEXT NOT NULL, study_instance_uid TEXT UNIQUE, series_count INTEGER NOT NULL,
        instance_count INTEGER NOT NULL, size_bytes BIGINT NOT NULL, clinical_history TEXT NOT NULL, report_findings TEXT NOT NULL,
        report_impression TEXT NOT NULL, received_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
      `CREATE INDEX exam_received ON exam (received_at, exam_id)`,
      `CREATE INDEX exam_accession ON exam (accession_number)`,
    ],
  },
  {
    name: '0002-region',
    // What has images takes theirs at this start (ExamIntake); the rest the active membership's.
    up: async (tx) => {
      await tx.run(`ALTER TABLE exam ADD COLUMN region_id TEXT NOT NULL DEFAULT 'unassigned'`)
      await tx.run('CREATE INDEX exam_region ON exam (region_id, received_at)')
      const hasRegions = await tx.get(`SELECT name FROM schema_migration WHERE scope = 'region'`)
      if (hasRegions)
        await tx.run('UPDATE exam SET region_id = COALESCE((SELECT region_id FROM membership WHERE is_active = 1), region_id)')
    },
  },
  {
    name: '0003-placement',
    up: [
      ...['campus', 'department', 'area', 'requesting_department', 'requesting_physician', 'patient_class', 'ward', 'bed', 'inpatient_number'].map(
        (column) => `ALTER TABLE exam ADD COLUMN ${column} TEXT NOT NULL DEFAULT ''`,
      ),
      `ALTER TABLE exam ADD COLUMN label TEXT NOT NULL DEFAULT 'ordinary'`,
      'ALTER TABLE exam ADD COLUMN legal_hold INTEGER NOT NULL DEFAULT 0',
      'CREATE INDEX exam_patient ON exam (patient_id)',
      // Everything that rights ask of a row, in the order of the list: what may not be seen is passed over without reading its row.
      `CREATE INDEX exam_rights ON exam (received_at DESC, exam_id, label, campus, department, area, modality, requesting_department, requesting_physician, patient_id)`,
    ],
  },
  {
    name: '0004-retention',
    // A new exam, and one whose class was changed, follows no rule yet: see retention/.
    up: [
      `ALTER TABLE exam ADD COLUMN retain_until TEXT NOT NULL DEFAULT ''`,
      'ALTER TABLE exam ADD COLUMN retention_revision INTEGER NOT NULL DEFAULT 0',
      'CREATE INDEX exam_retention_revision ON exam (retention_revision)',
      'CREATE INDEX exam_retain_until ON exam (retain_until, exam_id)',
    ],
  },
  // Whoever has one area of many would pass over the exams of all others to fill a page.
  { name: '0005-area', up: ['CREATE INDEX exam_area ON exam (area, received_at DESC, exam_id)'] },
  {
    name: '0006-area-rights',
    up: [
      'DROP INDEX exam_area',
      'CREATE INDEX exam_area ON exam (area, received_at DESC, exam_id, label, campus, department, modality, requesting_department, requesting_physician, patient_id)',
    ],
  },
  {
    name: '0007-origin',
    // Exams of before are taken for registered: nobody is to go through years of them.
    up: [
      `ALTER TABLE exam ADD COLUMN origin TEXT NOT NULL DEFAULT 'registered'`,
      `CREATE INDEX exam_unmatched ON exam (received_at DESC, exam_id) WHERE origin = 'images'`,
      `CREATE INDEX exam_without_images ON exam (study_date, modality) WHERE study_instance_uid IS NULL`,
    ],
  },
]

const columns = `exam_id AS "examId", region_id AS "regionId", accession_number AS "accessionNumber", patient_id AS "patientId", patient_name AS "patientName",
  patient_sex AS "patientSex", patient_birth_date AS "patientBirthDate", patient_age AS "patientAge", modality, body_part AS "bodyPart", description,
  study_date AS "studyDate", study_time AS "studyTime", study_instance_uid AS "studyInstanceUid", series_count AS "seriesCount",
  instance_count AS "instanceCount", size_bytes AS "sizeBytes", clinical_history AS "clinicalHistory", report_findings AS "reportFindings",
  report_impression AS "reportImpression", received_at AS "receivedAt", updated_at AS "updatedAt", campus, department, area,
  requesting_department AS "requestingDepartment", requesting_physician AS "requestingPhysician", patient_class AS "patientClass", ward, bed,
  inpatient_number AS "inpatientNumber", label`

/** `after` continues behind the last row of the previous page. Dates are ISO and inclusive. */
export interface ExamFilter {
  readonly regionId?: RegionId | undefined
  readonly text?: string | undefined
  /** The text is a whole identity card or telephone number. */
  readonly contact?: ContactSearch | undefined
  readonly modality?: string | undefined
  readonly dateFrom?: string | undefined
  readonly dateTo?: string | undefined
  readonly campus?: string | undefined
  readonly department?: string | undefined
  readonly area?: string | undefined
  readonly requestingDepartment?: string | undefined
  readonly patientClass?: string | undefined
  readonly ward?: string | undefined
  readonly bed?: string | undefined
  readonly inpatientNumber?: string | undefined
  readonly patientId?: string | undefined
  readonly accessionNumber?: string | undefined
  /** `images`: made of images that belong to no registered exam (ARC-11). */
  readonly origin?: ExamOrigin | undefined
  /** Which exams the asker may have on a list (AccessControl.conditionFor); rows and counts know of no others. */
  readonly permitted?: ExamsCondition
  readonly countUpTo?: number | undefined
  readonly limit: number
  readonly after?: { readonly receivedAt: EpochMs; readonly examId: string } | undefined
}

/** Columns that a list is narrowed by as they are (CLN-02). */
const exact = [
  ['regionId', 'region_id'],
  ['modality', 'modality'],
  ['campus', 'campus'],
  ['department', 'department'],
  ['area', 'area'],
  ['requestingDepartment', 'requesting_department'],
  ['patientClass', 'patient_class'],
  ['ward', 'ward'],
  ['bed', 'bed'],
  ['inpatientNumber', 'inpatient_number'],
  ['patientId', 'patient_id'],
  ['accessionNumber', 'accession_number'],
  ['origin', 'origin'],
] as const satisfies readonly (readonly [keyof ExamFilter, string])[]

/** Counting goes on to here unless told: of a longer list hardly anybody needs the number, and everybody would wait for it. */
export const COUNTED_UP_TO = 200

/** Newest first. `atLeast`: there are more than `total`. */
export async function listExams(db: Queries, filter: ExamFilter): Promise<{ rows: Exam[]; total: number; atLeast: boolean }> {
  const params: SqlValue[] = []
  const bind = (value: SqlValue) => `$${params.push(value)}`
  const wanted: string[] = []
  if (filter.text) {
    const like = bind(`%${filter.text.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`)
    const searched = ['patient_name', 'patient_id', 'accession_number', 'description', 'body_part']
    const byNumber = contactCondition(filter.contact ?? {}, bind)
    wanted.push(`(${[...searched.map((column) => `LOWER(${column}) LIKE ${like} ESCAPE '\\'`), ...(byNumber ? [byNumber] : [])].join(' OR ')})`)
  }
  for (const [field, column] of exact) {
    const value = filter[field]
    if (value) wanted.push(`${column} = ${bind(value)}`)
  }
  if (filter.dateFrom) wanted.push(`study_date >= ${bind(filter.dateFrom)}`)
  if (filter.dateTo) wanted.push(`study_date <> '' AND study_date <= ${bind(filter.dateTo)}`)
  if (filter.permitted) wanted.push(filter.permitted('e', bind))
  const where = (conditions: readonly string[]) => (conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`)
  const countUpTo = filter.countUpTo ?? COUNTED_UP_TO
  const { after, limit } = filter
  if (after === undefined) {
    const rows = await db.all<Exam & { total: number }>(pageWithTotal(where(wanted), bind(Math.max(limit, countUpTo + 1)), bind(limit)), params)
    const total = rows[0]?.total ?? 0
    return { rows: rows.map(({ total: _total, ...exam }) => exam), total: Math.min(total, countUpTo), atLeast: total > countUpTo }
  }
  const counting = [...params, countUpTo + 1]
  const counted = db.get<{ total: number }>(`SELECT COUNT(*) AS "total" FROM (SELECT 1 AS one FROM exam e ${where(wanted)} LIMIT $${counting.length}) counted`, counting)
  const at = bind(after.receivedAt)
  wanted.push(`(received_at < ${at} OR (received_at = ${at} AND exam_id > ${bind(after.examId)}))`)
  const listed = db.all<Exam>(`SELECT ${columns} FROM exam e ${where(wanted)} ORDER BY received_at DESC, exam_id LIMIT ${bind(limit)}`, params)
  const [rows, { total } = { total: 0 }] = await Promise.all([listed, counted])
  return { rows, total: Math.min(total, countUpTo), atLeast: total > countUpTo }
}

/** What is found is looked for once, in an index alone; only the rows of the page are read. */
const pageWithTotal = (where: string, upTo: string, limit: string): string =>
  `WITH found AS MATERIALIZED (SELECT e.exam_id, e.received_at FROM exam e ${where} ORDER BY e.received_at DESC, e.exam_id LIMIT ${upTo})
   SELECT ${columns}, (SELECT COUNT(*) FROM found) AS "total" FROM exam
   WHERE exam_id IN (SELECT f.exam_id FROM found f ORDER BY f.received_at DESC, f.exam_id LIMIT ${limit}) ORDER BY received_at DESC, exam_id`

export function findExam(db: Queries, examId: string): Promise<Exam | undefined> {
  return db.get<Exam>(`SELECT ${columns} FROM exam WHERE exam_id = $1`, [examId])
}

export function findExamOfStudy(db: Queries, studyInstanceUid: StudyInstanceUid): Promise<Exam | undefined> {
  return db.get<Exam>(`SELECT ${columns} FROM exam WHERE study_instance_uid = $1`, [studyInstanceUid])
}

/** What the exams of these studies say of their images, by Study Instance UID. At most a thousand at once. */
export async function countsOfStudies(db: Queries, uids: readonly StudyInstanceUid[]): Promise<Map<StudyInstanceUid, Pick<Exam, 'instanceCount' | 'sizeBytes' | 'regionId'>>> {
  const rows = await db.all<Pick<Exam, 'instanceCount' | 'sizeBytes' | 'regionId'> & { uid: StudyInstanceUid }>(
    `SELECT study_instance_uid AS "uid", instance_count AS "instanceCount", size_bytes AS "sizeBytes", region_id AS "regionId" FROM exam
     WHERE study_instance_uid IN (${uids.map((_uid, index) => `$${index + 1}`).join(', ') || "''"})`,
    uids,
  )
  return new Map(rows.map(({ uid, ...counts }) => [uid, counts]))
}

/** Exams that a condition on rows `e` names; it may end with an order and a limit. */
export function selectExams(db: Queries, condition: (bind: (value: SqlValue) => string) => string): Promise<Exam[]> {
  const params: SqlValue[] = []
  const where = condition((value) => `$${params.push(value)}`)
  return db.all<Exam>(`SELECT ${columns} FROM exam e WHERE ${where}`, params)
}

/** The same with where each came from. */
export function selectExamsWithOrigin(db: Queries, condition: (bind: (value: SqlValue) => string) => string): Promise<(Exam & { origin: ExamOrigin })[]> {
  const params: SqlValue[] = []
  const where = condition((value) => `$${params.push(value)}`)
  return db.all<Exam & { origin: ExamOrigin }>(`SELECT ${columns}, e.origin FROM exam e WHERE ${where}`, params)
}

export const setOrigin = (tx: Transaction, examId: string, origin: ExamOrigin, now: EpochMs): Promise<number> =>
  tx.run('UPDATE exam SET origin = $2, updated_at = $3 WHERE exam_id = $1', [examId, origin, now])

/** @throws {Problem} exam/unknown */
export async function originOf(db: Queries, examId: string): Promise<ExamOrigin> {
  const row = await db.get<{ origin: ExamOrigin }>('SELECT origin FROM exam WHERE exam_id = $1', [examId])
  if (!row) throw new Problem('exam/unknown', { examId })
  return row.origin
}

/** Newest first. */
export function examsOfPatient(db: Queries, patientId: string): Promise<Exam[]> {
  return db.all<Exam>(`SELECT ${columns} FROM exam WHERE patient_id = $1 AND patient_id <> '' ORDER BY received_at DESC, exam_id LIMIT 500`, [patientId])
}

/** What was registered counts before what images say of themselves. */
function findExamByAccession(db: Queries, accessionNumber: string): Promise<(Exam & { origin: ExamOrigin }) | undefined> {
  return db.get<Exam & { origin: ExamOrigin }>(
    `SELECT ${columns}, origin FROM exam WHERE accession_number = $1 AND accession_number <> ''
     ORDER BY CASE WHEN origin = 'registered' THEN 0 ELSE 1 END, received_at LIMIT 1`,
    [accessionNumber],
  )
}

const findUnmatchedExam = (db: Queries, studyInstanceUid: string): Promise<(Exam & { origin: ExamOrigin }) | undefined> =>
  db.get<Exam & { origin: ExamOrigin }>(`SELECT ${columns}, origin FROM exam WHERE study_instance_uid = $1`, [studyInstanceUid])

/** What a person may change, and where it is kept. */
const changeable = [
  ['clinicalHistory', 'clinical_history'],
  ['reportFindings', 'report_findings'],
  ['reportImpression', 'report_impression'],
  ['bodyPart', 'body_part'],
  ['campus', 'campus'],
  ['department', 'department'],
  ['area', 'area'],
  ['requestingDepartment', 'requesting_department'],
  ['requestingPhysician', 'requesting_physician'],
  ['patientClass', 'patient_class'],
  ['ward', 'ward'],
  ['bed', 'bed'],
  ['inpatientNumber', 'inpatient_number'],
] as const satisfies readonly (readonly [keyof ExamChange, string])[]

/** What is absent stays. Returns whether the exam exists. */
export async function changeExam(tx: Transaction, examId: string, change: ExamChange, now: EpochMs): Promise<boolean> {
  const changed = await tx.run(
    `UPDATE exam SET ${changeable.map(([, column], index) => `${column} = COALESCE($${index + 3}, ${column})`).join(', ')}, updated_at = $2, retention_revision = 0 WHERE exam_id = $1`,
    [examId, now, ...changeable.map(([field]) => change[field] ?? null)],
  )
  return changed === 1
}

/**
 * Enters what arrived: links images to the exam they belong to, or makes one. Doing it again changes nothing. Returns the exam's id.
 * @param place where nobody registered the exam: what is known of the device that sent it.
 */
export async function recordStudy(tx: Transaction, study: StudyRow, now: EpochMs, place: Partial<ExamPlacement> = {}): Promise<string> {
  const [byStudy, byAccession] = [await findExamOfStudy(tx, study.studyInstanceUid), await findExamByAccession(tx, study.accessionNumber)]
  const match = decideExam(study, byStudy, byAccession)
  const counts = [study.seriesCount, study.instanceCount, study.sizeBytes] as const
  if (match.kind !== 'new') {
    // The facts were entered with the first images; the RIS may have corrected them since, so only counts follow.
    await tx.run(
      'UPDATE exam SET study_instance_uid = $2, series_count = $3, instance_count = $4, size_bytes = $5, region_id = $6 WHERE exam_id = $1',
      [match.examId, study.studyInstanceUid, ...counts, study.regionId],
    )
    if (match.kind === 'linked') await completeFacts(tx, match.examId, study)
    return match.examId
  }
  const texts = { clinicalHistory: '', reportFindings: '', reportImpression: '' }
  const exam = {
    ...noPlacement,
    ...place,
    ...factsOfStudy(study),
    ...texts,
    examId: randomUUID(),
    regionId: study.regionId,
    studyInstanceUid: study.studyInstanceUid,
    receivedAt: study.receivedAt,
    updatedAt: now,
  }
  await insertExam(tx, { ...exam, seriesCount: study.seriesCount, instanceCount: study.instanceCount, sizeBytes: study.sizeBytes }, 'images')
  return exam.examId
}

/**
 * 登记. What the register says of the patient counts from then on; images that came before are found by their study or
 * accession number.
 * @throws {Problem} exam/exists when the accession number or the study is registered already.
 */
export async function registerExam(
  tx: Transaction,
  given: ExamRegistration,
  regionId: RegionId,
  now: EpochMs,
): Promise<string> {
  const registration = ExamRegistration.parse(given)
  const { accessionNumber, studyInstanceUid } = registration
  const known = (await findExamByAccession(tx, accessionNumber)) ?? (studyInstanceUid === null ? undefined : await findUnmatchedExam(tx, studyInstanceUid))
  const patientAge = ageAt(registration.patientBirthDate.replaceAll('-', ''), registration.studyDate.replaceAll('-', ''))
  // Its images came first, and nobody had registered them (ARC-11). Those of another patient stay unmatched: a person decides.
  if (known?.origin === 'images' && known.patientId === registration.patientId) return adoptImages(tx, known, { ...registration, patientAge }, now)
  if (known && (known.origin !== 'images' || known.studyInstanceUid === studyInstanceUid)) throw new Problem('exam/exists', { examId: known.examId })
  const examId = randomUUID()
  await insertExam(tx, {
    ...registration,
    regionId,
    patientAge,
    examId,
    seriesCount: 0,
    instanceCount: 0,
    sizeBytes: 0,
    receivedAt: now,
    updatedAt: now,
  }, 'registered') // prettier-ignore
  return examId
}

/** The register's words instead of those of the images; what only the images say stays. */
async function adoptImages(tx: Transaction, known: Exam, registered: Omit<Exam, 'examId' | 'regionId' | 'seriesCount' | 'instanceCount' | 'sizeBytes' | 'receivedAt' | 'updatedAt'>, now: EpochMs): Promise<string> {
  const said = Object.fromEntries(Object.entries(registered).filter(([, value]) => value !== '' && value !== null)) as Partial<Exam>
  const { examId, regionId, studyInstanceUid, seriesCount, instanceCount, sizeBytes, receivedAt } = known
  // A label that somebody gave the images stays until somebody takes it away.
  const label = registered.label === 'ordinary' ? known.label : registered.label
  await replaceExam(tx, { ...known, ...said, label, examId, regionId, studyInstanceUid, seriesCount, instanceCount, sizeBytes, receivedAt, updatedAt: now }, 'registered')
  return examId
}

/** Every column of an exam's row, as it is to be from now on. */
export async function replaceExam(tx: Transaction, exam: Exam, origin: ExamOrigin): Promise<void> {
  const columns = examColumns(exam, origin).filter(([column]) => column !== 'exam_id')
  await tx.run(`UPDATE exam SET ${columns.map(([column], index) => `${column} = $${index + 2}`).join(', ')}, retention_revision = 0 WHERE exam_id = $1`, [exam.examId, ...columns.map(([, value]) => value)])
}

function examColumns(exam: Exam, origin: ExamOrigin): [string, SqlValue][] {
  return [
    ['exam_id', exam.examId], ['accession_number', exam.accessionNumber], ['patient_id', exam.patientId], ['patient_name', exam.patientName], ['patient_sex', exam.patientSex],
    ['patient_birth_date', exam.patientBirthDate], ['patient_age', exam.patientAge], ['modality', exam.modality], ['body_part', exam.bodyPart], ['description', exam.description],
    ['study_date', exam.studyDate], ['study_time', exam.studyTime], ['study_instance_uid', exam.studyInstanceUid], ['series_count', exam.seriesCount],
    ['instance_count', exam.instanceCount], ['size_bytes', exam.sizeBytes], ['clinical_history', exam.clinicalHistory], ['report_findings', exam.reportFindings],
    ['report_impression', exam.reportImpression], ['received_at', exam.receivedAt], ['updated_at', exam.updatedAt], ['region_id', exam.regionId], ['campus', exam.campus],
    ['department', exam.department], ['area', exam.area], ['requesting_department', exam.requestingDepartment], ['requesting_physician', exam.requestingPhysician],
    ['patient_class', exam.patientClass], ['ward', exam.ward], ['bed', exam.bed], ['inpatient_number', exam.inpatientNumber], ['label', exam.label], ['origin', origin],
  ] // prettier-ignore
}

/** @param origin `images` for what nobody registered. */
export async function insertExam(tx: Transaction, exam: Exam, origin: ExamOrigin): Promise<void> {
  const columns = examColumns(exam, origin)
  await tx.run(
    `INSERT INTO exam (${columns.map(([column]) => column).join(', ')}) VALUES (${columns.map((_column, index) => `$${index + 1}`).join(', ')})`,
    columns.map(([, value]) => value),
  )
}

/** Exams entered before there was a region become `to`'s, as their images do (FED-20). */
export function adoptExams(tx: Transaction, from: RegionId, to: RegionId): Promise<number> {
  return tx.run('UPDATE exam SET region_id = $2 WHERE region_id = $1', [from, to])
}

/** A scout or a structured report may arrive first; what the exam still lacks is taken from later images. */
async function completeFacts(tx: Transaction, examId: string, study: StudyRow): Promise<void> {
  const { modality, bodyPart, description } = factsOfStudy(study)
  await tx.run(
    `UPDATE exam SET modality = CASE WHEN modality IN ('', 'KO', 'SR', 'PR', 'SEG') THEN $2 ELSE modality END,
      body_part = CASE WHEN body_part = '' THEN $3 ELSE body_part END, description = CASE WHEN description = '' THEN $4 ELSE description END WHERE exam_id = $1`,
    [examId, modality, bodyPart, description],
  )
}
