import type { User } from 'service-kit'
import type { DetachedSignature, EpochMs } from 'specs'

/** Who wants to sign, in which session. */
export interface SigningPerson {
  readonly user: User
  readonly sessionId: string
}

/** What the signing dialog must know. */
export interface SigningState {
  /** `person`: with the doctor's own key; `hospital`: the hospital signs, the doctor is named in the text. */
  readonly by: 'person' | 'hospital'
  /** The secret must be shown before the next signature. */
  readonly secretNeeded: boolean
  /** There is no secret yet: what is shown first becomes it (people who sign in elsewhere have no password here). */
  readonly secretIsNew: boolean
  readonly unlockedUntil: EpochMs | null
  readonly certificate: { readonly serial: string; readonly subject: string; readonly notBefore: EpochMs; readonly expires: EpochMs } | null
}

/**
 * The one place where a person's signature comes from. Ours keeps keys at the hospital (OwnKeys); a card in the reader of a desk or
 * the service of another certificate authority is another implementation of the same three questions.
 */
export interface DocumentSigner {
  state(person: SigningPerson): Promise<SigningState>
  /**
   * The person shows the secret again: signatures are possible for a while, in this session only.
   * @throws {Problem} signing/wrong-password, access/locked, signing/no-certificate.
   */
  unlock(person: SigningPerson, secret: string, origin: { readonly address: string; readonly device: string }): Promise<SigningState>
  /**
   * Signs the canonical JSON of a document.
   * @returns undefined when the hospital's signature must do: by its setting, or because no certificate can be had now.
   * @throws {Problem} signing/password-needed, signing/no-certificate.
   */
  sign(person: SigningPerson, document: unknown): Promise<DetachedSignature | undefined>
}
