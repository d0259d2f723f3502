import { computed, shallowRef, type ComputedRef, type MaybeRefOrGetter, toValue } from 'vue'
import type { ApiClient } from 'page-kit'
import { ExamDetail, LiveExam, UnmaskedConsult, type ConsultDetail, type ExamSnapshot } from 'specs'
import type { Dataset } from '../dicomweb/dataset.ts'
import { identityOf, type Identity } from './identity.ts'

/** 查看完整信息 of the patient on the screen (SEC-06). */
export interface Unmasking {
  /** There is a record of this node that can be asked for in full. */
  readonly possible: ComputedRef<boolean>
  readonly isClear: ComputedRef<boolean>
  /** @throws {ApiProblem} access/forbidden, request/invalid: nothing is shown then. */
  show(reason: string): Promise<void>
  cover(): void
}

/** The patient of the study; the hospital's exam register is asked when there is no consultation to tell it. */
export function useIdentity(
  studyInstanceUid: string,
  taskId: string | undefined,
  api: ApiClient,
  task: MaybeRefOrGetter<ConsultDetail | undefined>,
  dataset: MaybeRefOrGetter<Dataset | undefined>,
): { identity: ComputedRef<Identity>; unmasking: Unmasking } {
  const exam = shallowRef<ExamDetail>()
  const given = shallowRef<ExamSnapshot>()
  /** In full, for this page only: whatever is read again meanwhile comes masked and does not touch it. */
  const clear = shallowRef<{ request?: ExamSnapshot | undefined; exam?: ExamDetail }>()

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
  if (taskId === undefined) void lookUp()

  async function show(reason: string): Promise<void> {
    if (taskId !== undefined) {
      const { exam: now, request } = UnmaskedConsult.parse(await api.send('POST', `/api/consults/${encodeURIComponent(taskId)}/unmask`, { reason }))
      clear.value = { request: now?.exam ?? request?.exam }
    } else if (exam.value) {
      clear.value = { exam: ExamDetail.parse(await api.send('POST', `/api/exams/${encodeURIComponent(exam.value.examId)}/unmask`, { reason })) }
    }
  }
  return {
    identity: computed(() =>
      identityOf({ ...(clear.value ?? { request: toValue(task)?.request?.exam ?? given.value, exam: exam.value }), dataset: toValue(dataset) }),
    ),
    unmasking: {
      possible: computed(() => (taskId === undefined ? exam.value?.masked === true : toValue(task)?.request?.exam !== undefined)),
      isClear: computed(() => clear.value !== undefined),
      show,
      cover: () => (clear.value = undefined),
    },
  }
}
