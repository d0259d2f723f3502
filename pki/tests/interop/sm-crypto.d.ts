/** The part of sm-crypto 0.5 that the test meets; the package has no types of its own. Numbers are hex, messages bytes. */
declare module 'sm-crypto' {
  export const sm2: {
    doSignature(message: number[], privateKeyHex: string, options: { der: true; hash: true; publicKey?: string }): string
    doVerifySignature(message: number[], signatureHex: string, publicKeyHex: string, options: { der: true; hash: true }): boolean
    doEncrypt(message: number[], publicKeyHex: string, mode: 1): string
    doDecrypt(ciphertextHex: string, privateKeyHex: string, mode: 1, options: { output: 'array' }): number[]
  }
  export function sm3(message: number[]): string
}
