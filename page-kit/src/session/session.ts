import { readonly, ref } from 'vue'
import type { Right } from 'specs'
import type { ApiClient } from '../api/client.ts'
import { tellActivity } from './activity.ts'

export interface SignedInUser {
  id: string
  username: string
  name: string
  title?: string
  /** For showing; what somebody may do, say the rights. */
  roles: readonly string[]
  rights: readonly Right[]
}

/** Who is signed in: `undefined` while nobody knows yet, `null` when nobody is. */
export function createSession(api: () => ApiClient) {
  const user = ref<SignedInUser | null>()

  // A session that has ended meanwhile is told by the client itself.
  tellActivity(() => {
    if (user.value) api().send('POST', '/api/sessions/current/activity').catch(() => undefined)
  })

  async function look() {
    try {
      const { user: found } = await api().get<{ user: SignedInUser }>('/api/sessions/current')
      user.value = found
    } catch {
      // Whatever the reason, the sign-in page is the place to tell it.
      user.value = null
    }
  }
  async function signIn(username: string, password: string) {
    const { user: found } = await api().send<{ user: SignedInUser }>('POST', '/api/sessions', { username, password })
    user.value = found
  }
  async function signOut() {
    await api().send('DELETE', '/api/sessions/current')
    user.value = null
  }
  /** Whether any of these rights is held: what none allows is not shown. */
  const may = (...rights: Right[]) => user.value?.rights.some((right) => rights.includes(right)) ?? false
  return { user: readonly(user), look, signIn, signOut, may, ended: () => (user.value = null) }
}

export type Session = ReturnType<typeof createSession>
