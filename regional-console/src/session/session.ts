import { readonly, ref } from 'vue'
import type { HubUser } from 'specs'
import type { ApiClient } from '../api/client.ts'

/** Who is signed in. `undefined` while nobody knows yet, `null` when nobody is. */
export function createSession(api: () => ApiClient) {
  const user = ref<HubUser | null>()

  async function look() {
    try {
      const { user: found } = await api().get<{ user: HubUser }>('/api/sessions/current')
      user.value = found
    } catch {
      // Whatever the reason, the sign-in page is the place to tell it.
      user.value = null
    }
  }
  async function signIn(username: string, password: string) {
    const { user: found } = await api().send<{ user: HubUser }>('POST', '/api/sessions', { username, password })
    user.value = found
  }
  async function signOut() {
    await api().send('DELETE', '/api/sessions/current')
    user.value = null
  }
  return { user: readonly(user), look, signIn, signOut, ended: () => (user.value = null) }
}

export type Session = ReturnType<typeof createSession>
