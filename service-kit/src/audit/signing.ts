import { Buffer } from 'node:buffer'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { generateSm2KeyPair, loadPrivateKey, loadPublicKey, parseCertificate, randomBytes, signDocument, sm2Sign, sm2Verify, TrustStore, type Identity, type Sm2PrivateKey } from 'pki' // prettier-ignore
import { canonicalJson, Problem, type AuditSignature } from 'specs'
import { readSecretFile, type Vault } from '../vault/index.ts'

/** The node's certificate when it has one; before it has joined a region, a key of its own that nobody vouches for yet. */
export class AuditSigner {
  readonly #own: Sm2PrivateKey
  readonly #identity: () => Identity | undefined

  constructor(own: Sm2PrivateKey, identity: () => Identity | undefined) {
    this.#own = own
    this.#identity = identity
  }

  /** PEM of the key that signs while there is no certificate. */
  get ownKeyPem(): string {
    return this.#own.publicKey.toPem()
  }

  sign(value: unknown): AuditSignature {
    const identity = this.#identity()
    if (identity !== undefined) return signDocument(identity, value)
    const signature = Buffer.from(sm2Sign(this.#own, Buffer.from(canonicalJson(value), 'utf8'))).toString('base64')
    return { signature, certificateChain: [], publicKey: this.#own.publicKey.toPem() }
  }
}

export interface VerifySignature {
  /** Whom the certificate must name. */
  readonly party: string
  /** For which the certificate must have been good. */
  readonly at: number
  /** PEM roots of the regions that the party has belonged to. Without any a certificate is believed as it stands, which shows an unskilled forgery only. */
  readonly rootPems?: readonly string[] | undefined
  /** A key without certificate is taken only if it is this one, or if none is named. */
  readonly ownKeyPem?: string | undefined
}

/** @throws {Problem} certificate/…, envelope/bad-signature */
export function verifyAuditSignature(value: unknown, signed: AuditSignature, expect: VerifySignature): void {
  const [leaf] = signed.certificateChain
  const bytes = Buffer.from(canonicalJson(value), 'utf8')
  const bad = (reason: string) => new Problem('envelope/bad-signature', { party: expect.party, reason })
  if (leaf === undefined) {
    if (signed.publicKey === undefined) throw bad('no key')
    if (expect.ownKeyPem !== undefined && expect.ownKeyPem.trim() !== signed.publicKey.trim()) throw bad('another key')
    if (!sm2Verify(loadPublicKey(signed.publicKey), bytes, Buffer.from(signed.signature, 'base64'))) throw bad('signature')
    return
  }
  const certificate = parseCertificate(leaf)
  if (certificate.party !== expect.party) throw bad('signer')
  if (!sm2Verify(certificate.publicKey, bytes, Buffer.from(signed.signature, 'base64'))) throw bad('signature')
  const roots = expect.rootPems ?? []
  if (roots.length > 0 && !roots.some((rootPem) => chainsTo(rootPem, signed.certificateChain, expect.at))) throw bad('certificate of another region')
}

function chainsTo(rootPem: string, chain: readonly string[], at: number): boolean {
  try {
    new TrustStore({ rootPem }).verifyChain(chain, at, { historical: true })
    return true
  } catch {
    return false
  }
}

/**
 * The secrets of the trail: the key of its hashes, the key that signs while there is no certificate, and the key that signs the end of the chain.
 * Made at the first start.
 */
export interface AuditKeys {
  readonly hashKey: Uint8Array
  readonly signingKey: Sm2PrivateKey
  readonly tailKey: Sm2PrivateKey
  /** The tail key was made just now. */
  readonly isNewTailKey: boolean
}

/** @param safe seals the files, also those of before; whoever carries the disk away can then neither sign nor look patients up. */
export async function openAuditKeys(folder: string, safe?: Pick<Vault, 'seal' | 'open'>): Promise<AuditKeys> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const secret = async (name: string, make: () => string) => {
    const { text, isNew } = await readOrMake(join(folder, name), make)
    return { text: (safe && (await readSecretFile(safe, join(folder, name), `audit-key/${name}`))) ?? text, isNew }
  }
  const newKeyPem = () => generateSm2KeyPair().privateKeyPem
  const hashKey = await secret('audit-hash.key', () => Buffer.from(randomBytes(32)).toString('hex'))
  const signingKey = loadPrivateKey((await secret('audit-signing.pem', newKeyPem)).text)
  const tail = await secret('audit-tail.pem', newKeyPem)
  const tailKey = loadPrivateKey(tail.text)
  // For whoever checks the chain without the keys of the service.
  await writeFile(join(folder, AUDIT_PUBLIC_KEY), signingKey.publicKey.toPem(), { mode: 0o644 })
  await writeFile(join(folder, AUDIT_TAIL_PUBLIC_KEY), tailKey.publicKey.toPem(), { mode: 0o644 })
  return { hashKey: Buffer.from(hashKey.text.trim(), 'hex'), signingKey, tailKey, isNewTailKey: tail.isNew }
}

export const AUDIT_PUBLIC_KEY = 'audit-signing.pub.pem'
export const AUDIT_TAIL_PUBLIC_KEY = 'audit-tail.pub.pem'

/** Two processes that start together agree on what the first has written. */
async function readOrMake(file: string, make: () => string): Promise<{ text: string; isNew: boolean }> {
  let isNew = true
  try {
    await writeFile(file, make(), { mode: 0o600, flag: 'wx', flush: true } as Parameters<typeof writeFile>[2])
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    isNew = false
  }
  return { text: await readFile(file, 'utf8'), isNew }
}
