import type { ConsultState, Holder, HospitalId, StudyInstanceUid, TaskId } from 'specs'

/** As much of a task as access depends on. */
export interface TaskView {
  readonly taskId: TaskId
  readonly submitter: HospitalId
  readonly state: ConsultState | 'queued' | 'refused'
  readonly holder: Holder | null
  /** Hospitals that could take it when it was submitted. */
  readonly offeredTo: readonly HospitalId[]
  readonly studyInstanceUids: readonly StudyInstanceUid[]
  /** As the submitter named it. */
  readonly modality?: string
  /** When the submitter's grant ends, and whether the submitter has taken it back before. */
  readonly grantExpires?: number
  readonly grantWithdrawnAt?: number
}
