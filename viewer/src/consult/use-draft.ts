import { onScopeDispose, readonly, shallowReadonly, ref, shallowRef } from 'vue'
import type { KeyImage, OpinionDraft, SavedDraft } from 'specs'
import { ApiProblem } from 'page-kit'
import { toggleKeyImage, withNote } from '../key-image/key-images.ts'
import type { ImageFrame } from '../series/image-frame.ts'
import type { ConsultApi } from './consult-api.ts'
import { DraftSaver, type SaveState } from './draft-saver.ts'

const empty: OpinionDraft = { findings: '', opinion: '', advice: '', keyImages: [] }

/** The opinion being written, with its key images, kept on the server. */
export function useDraft(taskId: string, api: ConsultApi) {
  const draft = shallowRef<OpinionDraft>(empty)
  const state = shallowRef<SaveState>({ kind: 'saved', at: null })
  const loaded = ref(false)
  const problem = shallowRef<unknown>()
  let saver: DraftSaver | undefined

  async function load(): Promise<void> {
    saver?.stop()
    try {
      const found: SavedDraft = await api.readDraft(taskId)
      const { savedAt: _savedAt, revision: _revision, ...text } = found
      draft.value = text
      saver = new DraftSaver(found, {
        save: (text, revision) => api.saveDraft(taskId, text, revision),
        onState: (next) => (state.value = next),
        isConflict: (error) => error instanceof ApiProblem && error.details.code === 'request/conflict',
      })
      ;[loaded.value, problem.value] = [true, undefined]
    } catch (error) {
      problem.value = error
    }
  }

  function change(part: Partial<OpinionDraft>): void {
    if (!loaded.value) return
    draft.value = { ...draft.value, ...part }
    saver?.change(draft.value)
  }

  const warnBeforeLeaving = (event: BeforeUnloadEvent): void => {
    if (saver && !saver.isSaved) event.preventDefault()
  }
  addEventListener('beforeunload', warnBeforeLeaving)
  onScopeDispose(() => {
    removeEventListener('beforeunload', warnBeforeLeaving)
    void saver?.flush().catch(() => undefined) // the server keeps the version before
    saver?.stop()
  })

  return {
    draft: shallowReadonly(draft),
    state: shallowReadonly(state),
    loaded: readonly(loaded),
    problem: shallowReadonly(problem),
    load,
    /** After a conflict: what is written here replaces what another desk saved. */
    overwrite: async () => saver?.overwrite(),
    change,
    toggleKeyImage: (frame: ImageFrame) => change({ keyImages: [...toggleKeyImage(draft.value.keyImages, frame)] }),
    noteKeyImage: (index: number, note: string) => change({ keyImages: [...withNote(draft.value.keyImages, index, note)] }),
    removeKeyImage: (index: number) => change({ keyImages: draft.value.keyImages.filter((_: KeyImage, at: number) => at !== index) }),
    /** Saves what is waiting. @returns the draft and the revision it has on the server. */
    async settle(): Promise<{ opinion: OpinionDraft; revision: number }> {
      await saver?.flush()
      return { opinion: draft.value, revision: saver?.revision ?? 0 }
    },
  }
}

export type Draft = ReturnType<typeof useDraft>
