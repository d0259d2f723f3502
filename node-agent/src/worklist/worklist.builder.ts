import { StudyInstanceUid, WorklistDraft } from 'specs'
import type { WorklistItem } from './item.ts'

/** For tests: a draft as registration gives it. */
export function aDraft(changes: Partial<WorklistDraft> = {}): WorklistDraft {
  return WorklistDraft.parse({ patientId: 'P1', patientName: '张三', modality: 'CT', startDate: '2026-11-22', startTime: '09:00', ...changes })
}

export function aWorklistItem(changes: Partial<WorklistItem> = {}): WorklistItem {
  return {
    ...aDraft(),
    itemId: 'i1',
    examId: null,
    state: 'scheduled',
    scheduledStepId: 'S1',
    studyInstanceUid: StudyInstanceUid.parse('2.25.1'),
    createdAt: 1,
    updatedAt: 1,
    ...changes,
  }
}
