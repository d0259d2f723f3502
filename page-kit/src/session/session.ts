import { readonly, ref, shallowRef } from 'vue'
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
  department?: string
  campus?: string
  authMethod?: string
}

export type FactorKind = 'totp' | 'webauthn' | 'recovery'
/** Between password and second factor: what may be shown, and the ticket it is shown with. */
export interface SecondStep {
  readonly ticket: string
  readonly kinds: readonly FactorKind[]
}
/** What must be done before anything else. */
export type Must = 'change-password' | 'enrol-second-factor'
export type Proof = { totp: string } | { webauthn: unknown } | { recoveryCode: string }

interface Current {
  user: SignedInUser
  strong?: boolean
  idleMinutes?: number
  must?: Must
}
interface FactorNeeded {
  secondFactorNeeded: FactorKind[]
  ticket: string
}

/** Who is signed in: `undefined` while nobody knows yet, `null` when nobody is. */
export function createSession(api: () => ApiClient) {
  const user = ref<SignedInUser | null>()
  const must = ref<Must>()
  const idleMinutes = ref(0)
  /** Why the sign-in page is shown, where a person should be told. */
  const endedBecause = ref<'idle'>()
  const secondStep = shallowRef<SecondStep>()
  /** A step-up that somebody must answer; the request that needed it waits for it. */
  const stepUp = shallowRef<SecondStep>()
  let answerStepUp: ((shown: boolean) => void) | undefined
  let asked: Promise<boolean> | undefined

  // A session that has ended meanwhile is told by the client itself.
  tellActivity(() => {
    if (user.value) api().send('POST', '/api/sessions/current/activity').catch(() => undefined)
  })

  async function look() {
    try {
      const current = await api().get<Current>('/api/sessions/current')
      must.value = current.must
      idleMinutes.value = current.idleMinutes ?? 0
      user.value = current.user
    } catch {
      // Whatever the reason, the sign-in page is the place to tell it.
      ended()
    }
  }
  /** Asks whether the session still stands; one that has ended ends here, too. Without an answer nothing changes. */
  async function check() {
    await api().get('/api/sessions/current').catch(() => undefined) // the client tells a 401
  }
  async function signIn(username: string, password: string) {
    const answer = await api().send<Current | FactorNeeded>('POST', '/api/sessions', { username, password })
    if ('secondFactorNeeded' in answer) secondStep.value = { ticket: answer.ticket, kinds: answer.secondFactorNeeded }
    else await look()
  }
  /** Answers the second step of signing in, or of a step-up, with its ticket. */
  async function prove({ ticket }: SecondStep, proof: Proof) {
    await api().send('POST', '/api/sessions/second-factor', { ticket, proof })
    if (ticket === stepUp.value?.ticket) return endStepUp(true)
    secondStep.value = undefined
    await look()
  }
  const startOver = () => (secondStep.value = undefined)

  /** Asks the person for a second factor in the session that there is. @returns whether it was shown. */
  function strengthen(): Promise<boolean> {
    asked ??= api()
      .send<FactorNeeded>('POST', '/api/sessions/current/step-up')
      .then((step) => ({ ticket: step.ticket, kinds: step.secondFactorNeeded }))
      .catch(() => ({ ticket: '', kinds: [] })) // no factor enrolled: the dialog says where to do that
      .then((step) => {
        stepUp.value = step
        return new Promise<boolean>((resolve) => (answerStepUp = resolve))
      })
      .finally(() => (asked = undefined))
    return asked
  }
  function endStepUp(shown: boolean) {
    stepUp.value = undefined
    answerStepUp?.(shown)
  }

  async function signOut() {
    await api().send('DELETE', '/api/sessions/current')
    ended()
  }
  function ended(because?: 'idle') {
    if (user.value) endedBecause.value = because
    user.value = null
    must.value = undefined
    secondStep.value = undefined
    if (stepUp.value) endStepUp(false)
  }
  /** Whether any of these rights is held: what none allows is not shown. */
  const may = (...rights: Right[]) => user.value?.rights.some((right) => rights.includes(right)) ?? false
  return {
    user: readonly(user), must: readonly(must), idleMinutes: readonly(idleMinutes), endedBecause: readonly(endedBecause), secondStep, stepUp,
    look, check, signIn, prove, startOver, strengthen, endStepUp, signOut, may, ended,
  } // prettier-ignore
}

export type Session = ReturnType<typeof createSession>
