import { computed, onScopeDispose, readonly, shallowReadonly, shallowRef, watch } from 'vue'
import type { LiveEvents } from 'page-kit'
import type { ConsultDetail, LiveExam, OpinionDraft } from 'specs'
import { abilitiesOf, mustMarkRead, mustStart, type Reader } from './abilities.ts'
import type { ConsultApi } from './consult-api.ts'

/** One consultation, kept current by live events, with its verbs. A refused verb throws and the task is read again. */
export function useConsult(taskId: string, reader: () => Reader, api: ConsultApi, live: LiveEvents) {
  const task = shallowRef<ConsultDetail>()
  const exam = shallowRef<LiveExam>()
  const problem = shallowRef<unknown>()
  const busy = shallowRef<string>()
  let latest = 0
  let gone = false

  async function refresh(): Promise<void> {
    const asked = ++latest
    try {
      const found = await api.read(taskId)
      if (gone || asked !== latest) return
      ;[task.value, problem.value] = [found, undefined]
    } catch (error) {
      if (!gone && asked === latest) problem.value = error
    }
  }

  async function refreshExam(): Promise<void> {
    try {
      exam.value = await api.readExam(taskId)
    } catch {
      exam.value = undefined // the request carries its own copy of the exam, which the panel shows instead
    }
  }

  /** Steps the viewer takes by itself; refused means that somebody was faster, and the next reading shows it. */
  let announced = ''
  async function quietly(command: 'start' | 'read'): Promise<void> {
    const mark = `${command}:${task.value?.revision}`
    if (announced === mark) return
    announced = mark
    await api.command(taskId, command).catch(() => undefined)
    await refresh()
  }

  const announcement = (): 'start' | 'read' | undefined => {
    if (!task.value) return undefined
    return mustStart(task.value, reader()) ? 'start' : mustMarkRead(task.value, reader()) ? 'read' : undefined
  }
  watch(announcement, (command) => command && void quietly(command))

  async function act(name: string, work: () => Promise<unknown>): Promise<void> {
    if (busy.value) return
    busy.value = name
    try {
      await work()
    } finally {
      busy.value = undefined
      await refresh()
    }
  }

  live.onEvent((event) => {
    if (event.type === 'reconnected' || (event.type === 'consult' && event.taskId === taskId)) void refresh()
    if (event.type === 'reconnected' || event.type === 'exam') void refreshExam()
  })
  onScopeDispose(() => (gone = true))
  void refresh()
  void refreshExam()

  return {
    task: shallowReadonly(task),
    exam: shallowReadonly(exam),
    problem: shallowReadonly(problem),
    busy: readonly(busy),
    abilities: computed(() => task.value && abilitiesOf(task.value, reader())),
    refresh,
    claim: () => act('claim', () => api.command(taskId, 'claim')),
    release: (reason: string) => act('release', () => api.release(taskId, reason)),
    decline: (reason: string) => act('decline', () => api.decline(taskId, reason)),
    sign: (opinion: OpinionDraft, draftRevision: number, signingPassword?: string) =>
      act('sign', () => api.sign(taskId, opinion, draftRevision, signingPassword)),
    signingSecret: () => api.signingSecret(),
  }
}

export type Consult = ReturnType<typeof useConsult>
