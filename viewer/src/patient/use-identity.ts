import { computed, shallowRef, type MaybeRefOrGetter, toValue } from 'vue'
import type { ApiClient } from 'page-kit'
import { ExamDetail, LiveExam, type ConsultDetail, type ExamSnapshot } from 'specs'
import type { Dataset } from '../dicomweb/dataset.ts'
import { identityOf } from './identity.ts'

/** The patient of the study; the hospital's exam register is asked when there is no consultation to tell it. */
export function useIdentity(
  studyInstanceUid: string,
  hasTask: boolean,
  api: ApiClient,
  task: MaybeRefOrGetter<ConsultDetail | undefined>,
  dataset: MaybeRefOrGetter<Dataset | undefined>,
) {
  const exam = shallowRef<ExamDetail>()
  const given = shallowRef<ExamSnapshot>()
  async function lookUp(): Promise<void> {
    try {
      exam.value = ExamDetail.parse(await api.get(`/api/exams/by-study/${encodeURIComponent(studyInstanceUid)}`))
    } catch {
      await lookUpElsewhere()
    }
  }
  /** Not an exam of this hospital: its own hospital knows, if the reader was given a grant; otherwise the images tell whose they are. */
  async function lookUpElsewhere(): Promise<void> {
    try {
      given.value = LiveExam.parse(await api.get(`/api/cross-hospital/exams/${encodeURIComponent(studyInstanceUid)}`)).exam
    } catch {
      given.value = undefined
    }
  }
  if (!hasTask) void lookUp()
  return computed(() => identityOf({ request: toValue(task)?.request?.exam ?? given.value, exam: exam.value, dataset: toValue(dataset) }))
}
