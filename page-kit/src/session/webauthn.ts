/** The JSON forms of W3C WebAuthn 3 (5.1): browsers of hospitals are often too old for the built-in conversions. */

const fromBase64Url = (text: string): ArrayBuffer => {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'))
  return Uint8Array.from(binary, (char) => char.charCodeAt(0)).buffer
}
export const toBase64Url = (bytes: ArrayBuffer): string =>
  btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '') // prettier-ignore

interface Descriptor {
  id: string
  type: 'public-key'
  transports?: AuthenticatorTransport[]
}
type Plain<T> = Omit<T, 'challenge' | 'user' | 'excludeCredentials' | 'allowCredentials'>
export type CreationOptionsJson = Plain<PublicKeyCredentialCreationOptions> & { challenge: string; user: { id: string; name: string; displayName: string }; excludeCredentials?: Descriptor[] }
export type RequestOptionsJson = Plain<PublicKeyCredentialRequestOptions> & { challenge: string; allowCredentials?: Descriptor[] }

const withBytes = (descriptors: readonly Descriptor[] = []) => descriptors.map((each) => ({ ...each, id: fromBase64Url(each.id) }))

/** Keys work at `https:` addresses and at `localhost` only. */
export const canUseKeys = () => typeof window !== 'undefined' && window.isSecureContext && 'PublicKeyCredential' in window

/** Makes a credential on the person's security key. @throws DOMException NotAllowedError when the person did not go through with it. */
export async function createCredential(options: CreationOptionsJson) {
  const publicKey = { ...options, challenge: fromBase64Url(options.challenge), user: { ...options.user, id: fromBase64Url(options.user.id) }, excludeCredentials: withBytes(options.excludeCredentials) }
  const made = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential
  const response = made.response as AuthenticatorAttestationResponse
  return {
    ...headOf(made),
    response: { clientDataJSON: toBase64Url(response.clientDataJSON), attestationObject: toBase64Url(response.attestationObject), transports: response.getTransports?.() ?? [] },
  }
}

/** Asks the person's security key. @throws DOMException NotAllowedError when the person did not go through with it. */
export async function getAssertion(options: RequestOptionsJson) {
  const publicKey = { ...options, challenge: fromBase64Url(options.challenge), allowCredentials: withBytes(options.allowCredentials) }
  const shown = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential
  const response = shown.response as AuthenticatorAssertionResponse
  return {
    ...headOf(shown),
    response: {
      clientDataJSON: toBase64Url(response.clientDataJSON),
      authenticatorData: toBase64Url(response.authenticatorData),
      signature: toBase64Url(response.signature),
      userHandle: response.userHandle ? toBase64Url(response.userHandle) : null,
    },
  }
}

const headOf = (credential: PublicKeyCredential) => ({
  id: credential.id,
  rawId: toBase64Url(credential.rawId),
  type: 'public-key' as const,
  authenticatorAttachment: credential.authenticatorAttachment,
  clientExtensionResults: {},
})
