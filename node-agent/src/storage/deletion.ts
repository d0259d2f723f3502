import type { AuditTrail, Database, User } from 'service-kit'
import { Problem, StudyInstanceUid, type ExamRetention, type HospitalId } from 'specs'
import type { Archive } from '../archive/archive.ts'
import { recordStudy } from '../exam/store.ts'

export interface DeletionParts {
  readonly db: Database
  readonly audit: AuditTrail
  readonly archive: Archive
  readonly hospitalId: HospitalId
  readonly retentionOf: (examId: string) => Promise<ExamRetention>
  readonly studiesInUse: () => Promise<ReadonlySet<string>>
  readonly onExam: (examId: string) => void
  readonly now?: () => number
}

/** 删除影像: images of exams whose time is over leave every list at once and can be restored for some days; the exam's record stays. */
export class StudyDeletion {
  readonly #parts: DeletionParts

  constructor(parts: DeletionParts) {
    this.#parts = parts
  }

  /** @throws {Problem} archive/unknown-study, retention/not-yet, retention/legal-hold, retention/in-use */
  async delete(user: Pick<User, 'name'>, study: string, reason: string): Promise<void> {
    const { db, archive, audit, hospitalId, retentionOf, studiesInUse, onExam } = this.#parts
    const row = await archive.study(study)
    if (!row) throw new Problem('archive/unknown-study', { studyInstanceUid: study })
    if ((await studiesInUse()).has(study)) throw new Problem('retention/in-use', { studyInstanceUid: study })
    const exams = await this.#examsOf(study)
    for (const { examId } of exams) {
      const { mayBeDestroyed, legalHold, retainUntil, because } = await retentionOf(examId)
      if (!mayBeDestroyed) throw new Problem(legalHold ? 'retention/legal-hold' : 'retention/not-yet', { examId, retainUntil, because })
    }
    // Images that no exam knows of yet have no date either, and so are kept.
    if (exams.length === 0) throw new Problem('retention/not-yet', { studyInstanceUid: study })
    await archive.storage.recycle(study, user.name, reason)
    await db.write(async (tx) => {
      await tx.run('UPDATE exam SET series_count = 0, instance_count = 0, size_bytes = 0 WHERE study_instance_uid = $1', [study])
      await audit.within(tx, { action: 'study.delete', outcome: 'success', object: { type: 'study', id: study, owner: hospitalId }, reason, basis: 'retention', facts: { instanceCount: row.instanceCount, sizeBytes: row.sizeBytes, source: `${hospitalId}/in-hospital`, recycleDays: archive.storage.policy.recycleDays } })
    })
    for (const { examId } of exams) onExam(examId)
  }

  /** @throws {Problem} archive/not-recycled */
  async restore(study: string, reason: string): Promise<void> {
    const { db, archive, audit, hospitalId, onExam, now = Date.now } = this.#parts
    await archive.storage.restoreRecycled(study)
    const row = await archive.study(study)
    const examId = await db.write(async (tx) => {
      await audit.within(tx, { action: 'study.restore', outcome: 'success', object: { type: 'study', id: study, owner: hospitalId }, reason })
      return row && recordStudy(tx, row, now())
    })
    if (examId) onExam(examId)
  }

  #examsOf(study: string): Promise<{ examId: string }[]> {
    return this.#parts.db.all('SELECT exam_id AS "examId" FROM exam WHERE study_instance_uid = $1', [StudyInstanceUid.parse(study)])
  }
}
