import { Right, type Entitlement, type Scope } from 'specs'

/** How somebody proved who they are; what follows `+` is a second factor. */
export type AuthMethod = 'password' | 'password+totp' | 'password+webauthn' | 'oidc' | 'service'

/** Who asks, as handlers see it. */
export interface User {
  readonly id: string
  readonly username: string
  /** As shown and as signed under an opinion. */
  readonly name: string
  /** 职称 */
  readonly title: string
  /** Identifiers of the roles held, directly or through groups: for showing, never for deciding. */
  readonly roles: readonly string[]
  readonly department?: string
  readonly campus?: string
  /** Groups the account is in; rules may name them (SEC-01). */
  readonly groups?: readonly string[]
  /** What decides: each role's rights with the scope in which they hold. */
  readonly entitlements: readonly Entitlement[]
  readonly authMethod: AuthMethod
  /** When the session began; absent for whoever signs each request. Epoch ms. */
  readonly signedInAt?: number
}

type Entitled = Pick<User, 'entitlements'>

/** Whether somebody holds the right anywhere at all; where, says scopesOf(). */
export const hasRight = (user: Entitled, right: Right): boolean => user.entitlements.some(({ rights }) => rights.includes(right))

/** Where the right holds: in any of these scopes. None means: not at all. */
export const scopesOf = (user: Entitled, right: Right): readonly Scope[] =>
  user.entitlements.filter(({ rights }) => rights.includes(right)).map(({ scope }) => scope)

/** Every right held somewhere, in the order of the catalogue. */
export const rightsOf = (user: Entitled): Right[] => Right.options.filter((right) => hasRight(user, right))

/**
 * How a request showed who it is from. A cookie is sent by the browser unasked, so it needs a second sign (CSRF); a signature is of
 * a service account over this very request.
 */
export interface SignedIn {
  readonly user: User
  readonly sessionId: string
  readonly by: 'bearer' | 'cookie' | 'signature'
  /** A second factor was shown, or the request itself is signed. */
  readonly strong: boolean
  /** What must be done before anything else. */
  readonly must?: 'change-password'
  /** How long without a person's doing until it ends: the account's own time or the hospital's. Absent: never. */
  readonly idleMs?: number
}

/** The headers of a request, as express gives them, and what a signature covers. */
export interface Headers {
  get(name: 'authorization' | 'cookie'): string | undefined
  /** Whether it came by TLS, here or at the proxy that is believed. */
  readonly secure?: boolean
  readonly method?: string
  readonly originalUrl?: string
}

/** What the face must know about accounts. */
export interface Authenticator {
  /**
   * @param how `passive`: not a person's doing, so that it does not keep a session alive.
   * @throws {Problem} access/not-signed-in when a token is shown that is not valid (any more).
   */
  signedIn(request: Headers, how?: { readonly passive?: boolean }): Promise<SignedIn | undefined>
  /** Who must show a second factor: nobody, whoever uses a privileged right, everybody. */
  readonly secondFactor: 'optional' | 'administrators' | 'everyone'
  /** Tells at once when a session ends or its user is disabled. */
  onSessionEnd(listener: (sessionId: string) => void): void
}

/** `anyone`: no login asked; `signed-in`: whoever has an account; otherwise one of these rights. */
export type Allow = 'anyone' | 'signed-in' | readonly Right[]
