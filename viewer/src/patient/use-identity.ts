import { computed, shallowRef, type MaybeRefOrGetter, toValue } from 'vue'
import type { ApiClient } from 'page-kit'
import { ExamDetail, type ConsultDetail } from 'specs'
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
  async function lookUp(): Promise<void> {
    try {
      exam.value = ExamDetail.parse(await api.get(`/api/exams/by-study/${encodeURIComponent(studyInstanceUid)}`))
    } catch {
      exam.value = undefined // not an exam of this hospital: the images themselves tell whose they are
    }
  }
  if (!hasTask) void lookUp()
  return computed(() => identityOf({ request: toValue(task)?.request?.exam, exam: exam.value, dataset: toValue(dataset) }))
}
