import { readonly, ref, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue'
import type { ApiClient, LiveEvents } from 'page-kit'
import type { ConsultDetail, LiveExam } from 'specs'

export type ConsultCommand = 'claim' | 'release' | 'decline' | 'start' | 'cancel' | 'read' | 'print' | 'fetch'

/** One consultation that follows the live events; the exam comes live from the submitter (CON-12). */
export function useConsult(taskId: MaybeRefOrGetter<string>, { api, live }: { api: ApiClient; live: LiveEvents }) {
  const consult = shallowRef<ConsultDetail>()
  const liveExam = shallowRef<LiveExam>()
  const problem = shallowRef<unknown>()
  const busy = ref<ConsultCommand>()

  async function load() {
    const asked = toValue(taskId)
    try {
      const found = await api.get<ConsultDetail>(`/api/consults/${asked}`)
      if (asked === toValue(taskId)) [consult.value, problem.value] = [found, undefined]
    } catch (error) {
      if (asked === toValue(taskId)) problem.value = error
    }
  }
  async function loadExam() {
    const asked = toValue(taskId)
    // Without it the page still shows the copy that came with the request.
    const found = await api.get<LiveExam>(`/api/consults/${asked}/exam`).catch(() => undefined)
    if (asked === toValue(taskId)) liveExam.value = found
  }
  /** @throws ApiProblem when the hub or the node refuses; the consultation is read again either way. */
  async function command(name: ConsultCommand, body: object = {}) {
    busy.value = name
    try {
      await api.send('POST', `/api/consults/${toValue(taskId)}/${name}`, body)
    } finally {
      busy.value = undefined
      await load()
    }
  }

  watch(
    () => toValue(taskId),
    () => {
      consult.value = undefined
      liveExam.value = undefined
      void load()
    },
    { immediate: true },
  )
  live.onEvent((event) => {
    if (event.type === 'reconnected' || (event.type === 'consult' && event.taskId === toValue(taskId))) void load()
    if (event.type === 'transfer' && consult.value?.facts.studyInstanceUids.some((uid) => uid === event.studyInstanceUid)) void load()
  })
  return { consult, liveExam, problem: readonly(problem), busy: readonly(busy), load, loadExam, command }
}
