import type { User } from 'service-kit'
import type { DetachedSignature, SigningKeyState } from 'specs'

/** Who wants to sign, in which session. */
export interface SigningPerson {
  readonly user: User
  readonly sessionId: string
}

/**
 * The one place where a person's signature comes from. Ours keeps keys at the hospital (OwnKeys); a card in the reader of a desk or
 * the service of another certificate authority is another implementation of the same three questions.
 */
export interface DocumentSigner {
  state(person: SigningPerson): Promise<SigningKeyState>
  /**
   * The person shows the secret again: signatures are possible for a while, in this session only.
   * @throws {Problem} signing/wrong-password, access/locked, signing/no-certificate.
   */
  unlock(person: SigningPerson, secret: string, origin: { readonly address: string; readonly device: string }): Promise<SigningKeyState>
  /**
   * Signs the canonical JSON of a document.
   * @returns undefined when the hospital's signature must do: by its setting, or because no certificate can be had now.
   * @throws {Problem} signing/password-needed, signing/no-certificate.
   */
  sign(person: SigningPerson, document: unknown): Promise<DetachedSignature | undefined>
}
