/** Who asks, as handlers see it. */
export interface User {
  readonly id: string
  readonly username: string
  /** As shown and as signed under an opinion. */
  readonly name: string
  /** 职称 */
  readonly title: string
  readonly roles: string[]
}

/** How a request showed who it is from. A cookie is sent by the browser unasked, so it needs a second sign (CSRF). */
export interface SignedIn {
  readonly user: User
  readonly sessionId: string
  readonly by: 'bearer' | 'cookie'
}

/** The headers of a request, as express gives them. */
export interface Headers {
  get(name: 'authorization' | 'cookie'): string | undefined
}

/** What the face must know about accounts. */
export interface Authenticator {
  /** @throws {Problem} access/not-signed-in when a token is shown that is not valid (any more). */
  signedIn(request: Headers): Promise<SignedIn | undefined>
  /** Tells at once when a session ends or its user is disabled. */
  onSessionEnd(listener: (sessionId: string) => void): void
}

/** `anyone`: no login asked; `signed-in`: whoever has an account; otherwise one of these roles. */
export type Allow = 'anyone' | 'signed-in' | readonly string[]
