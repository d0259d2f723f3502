import { Buffer } from 'node:buffer'
import { rm } from 'node:fs/promises'
import { createIntermediateCa, createRootCa, loadPrivateKey, parseCertificate, randomBytes, type Authority as CertificateAuthority } from 'pki'
import type { EpochMs } from 'specs'
import { z } from 'zod'
import { openAuthority, type Authority } from './authority.ts'
import { authorityFiles, keyFilesOf, readIfPresent, writeWhole, type KeyFiles, type KeyMaterial } from './files.ts'
import type { AuthorityOptions } from './held.ts'

/** A root outlives several region authorities, they several certificates. */
const ROOT_DAYS = 20 * 365
const REGION_DAYS = 10 * 365

export interface SetUpOptions extends AuthorityOptions {
  /** What the root's key is encrypted under (PKCS#8, SM4). Made up when a root is made, or found in clear, without one. */
  readonly rootPassphrase?: string | undefined
}

export interface SetUp {
  /** Where the root's private key lies, if it still does: it belongs into a safe. */
  readonly rootKey: string | undefined
  /** Made up now: a person has to write it down, because it is kept nowhere. */
  readonly madePassphrase: string | undefined
}

/** As ensureAuthority, and opens it. */
export async function initAuthority(options: SetUpOptions): Promise<Authority> {
  await ensureAuthority(options)
  return openAuthority(options)
}

/**
 * Makes root and region authority where they are missing. Repeating it changes nothing and reads no key, so a start script may
 * always call it, also when the vault of the hub has sealed them; and the root may have left the machine.
 */
export async function ensureAuthority(options: SetUpOptions): Promise<SetUp> {
  const { dir, regionId, regionName, now = Date.now, safe } = options
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  const rootPassphrase = passphraseOf(options)
  await encryptEarlierRoot(options, rootPassphrase.use)
  if (!(await keys.exist(files.region))) {
    const root = (await readRoot(files.root, options)) ?? (await makeRoot(options, rootPassphrase.use))
    await writeWhole(files.rootCertificate, root.certificatePem, 0o644)
    const region = createIntermediateCa(root, { name: regionName, regionId, days: REGION_DAYS, now: now() })
    await enterInRootRegister(files.rootRegister, region, now())
    await keys.write(files.region, region)
  }
  const rootKey = (await readIfPresent(files.root.privateKey)) === undefined ? undefined : files.root.privateKey
  return { rootKey, madePassphrase: rootPassphrase.made() }
}

function passphraseOf({ rootPassphrase }: SetUpOptions) {
  let made: string | undefined
  const use = () => rootPassphrase ?? (made ??= Buffer.from(randomBytes(15)).toString('base64url'))
  return { use, made: () => made }
}

async function makeRoot({ dir, regionName, now = Date.now }: SetUpOptions, passphrase: () => string): Promise<CertificateAuthority> {
  const root = createRootCa({ name: `${regionName} 根`, days: ROOT_DAYS, now: now() })
  await writeRoot(authorityFiles(dir).root, root, passphrase())
  return root
}

/** Never sealed by the vault: it must be readable where there is no hub. */
async function writeRoot(files: KeyFiles, { certificatePem, privateKeyPem }: KeyMaterial, passphrase: string): Promise<void> {
  await keyFilesOf(undefined).write(files, { certificatePem, privateKeyPem: loadPrivateKey(privateKeyPem).exportPem(passphrase) })
}

/** One that came out of its safe because the region needs another authority. */
async function readRoot(files: KeyFiles, { rootPassphrase }: SetUpOptions): Promise<CertificateAuthority | undefined> {
  const root = await keyFilesOf(undefined).read(files)
  return root && { ...root, ...(rootPassphrase !== undefined && { passphrase: rootPassphrase }) }
}

/** A root of before its key was encrypted; it had other names, too. */
async function encryptEarlierRoot({ dir, now = Date.now }: SetUpOptions, passphrase: () => string): Promise<void> {
  const files = authorityFiles(dir)
  const earlier = await keyFilesOf(undefined).read(files.earlierRoot)
  if (!earlier) return
  await writeRoot(files.root, earlier, passphrase())
  const region = await readIfPresent(files.region.certificate)
  if (region !== undefined) await enterInRootRegister(files.rootRegister, { certificatePem: region }, now())
  for (const file of [files.earlierRoot.privateKey, files.earlierRoot.certificate]) await rm(file)
}

const RootRegister = z.looseObject({ crlNumber: z.number(), issued: z.array(z.looseObject({ serial: z.string() })) })

/** The root's own register, as `npm run pki` keeps it: what is not in it the root could not revoke. */
async function enterInRootRegister(file: string, { certificatePem }: Pick<KeyMaterial, 'certificatePem'>, now: EpochMs): Promise<void> {
  const { serial, subject, notAfter } = parseCertificate(certificatePem)
  const text = await readIfPresent(file)
  const register = RootRegister.parse(text === undefined ? { crlNumber: 0, issued: [] } : JSON.parse(text))
  if (register.issued.some((entry) => entry.serial === serial)) return
  register.issued.push({ serial, subject: subject.cn, issuedAt: now, notAfter })
  await writeWhole(file, `${JSON.stringify(register, undefined, 2)}\n`, 0o600)
}
