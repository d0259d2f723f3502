import type { ApiClient } from 'page-kit'
import { ConsultDetail, LiveExam, SavedDraft, SigningKeyState, type ConsultRow, type OpinionDraft } from 'specs'

/** Whether the next signature asks for the password; `new`: there is none for signing yet, what is typed becomes it. */
export type SigningSecret = 'none' | 'password' | 'new'

/** What the viewer asks of the node about one consultation. Answers are parsed: a page may be older than its node. */
export interface ConsultApi {
  read(taskId: string): Promise<ConsultDetail>
  /** Live from the submitting hospital, or our copy when it is out of reach (CON-12). */
  readExam(taskId: string): Promise<LiveExam>
  command(taskId: string, command: 'claim' | 'start' | 'read'): Promise<unknown>
  release(taskId: string, reason: string): Promise<unknown>
  decline(taskId: string, reason: string): Promise<unknown>
  /** @param signingPassword shown again where the node asks for it; then signatures are possible for a while. */
  sign(taskId: string, opinion: OpinionDraft, draftRevision: number, signingPassword?: string): Promise<unknown>
  signingSecret(): Promise<SigningSecret>
  readDraft(taskId: string): Promise<SavedDraft>
  saveDraft(taskId: string, draft: OpinionDraft, revision: number | undefined): Promise<SavedDraft>
}

export function createConsultApi(api: ApiClient): ConsultApi {
  const at = (taskId: string, rest = ''): string => `/api/consults/${encodeURIComponent(taskId)}${rest}`
  return {
    read: async (taskId) => ConsultDetail.parse(await api.get(at(taskId))),
    readExam: async (taskId) => LiveExam.parse(await api.get(at(taskId, '/exam'))),
    command: (taskId, command) => api.send<ConsultRow>('POST', at(taskId, `/${command}`), {}),
    release: (taskId, reason) => api.send<ConsultRow>('POST', at(taskId, '/release'), { reason }),
    decline: (taskId, reason) => api.send<ConsultRow>('POST', at(taskId, '/decline'), { reason }),
    sign: (taskId, opinion, draftRevision, signingPassword) =>
      api.send<ConsultRow>('POST', at(taskId, '/sign'), { draftRevision, opinion, ...(signingPassword !== undefined && { signingPassword }) }),
    signingSecret: async () => {
      const { secretNeeded, secretIsNew } = SigningKeyState.parse(await api.get('/api/signing-key'))
      if (!secretNeeded) return 'none'
      return secretIsNew ? 'new' : 'password'
    },
    readDraft: async (taskId) => SavedDraft.parse(await api.get(at(taskId, '/draft'))),
    saveDraft: async (taskId, draft, revision) => SavedDraft.parse(await api.send('PUT', at(taskId, '/draft'), { ...draft, revision })),
  }
}
