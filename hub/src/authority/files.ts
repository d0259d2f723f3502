import { mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isSealed, readSecretFile, writeSecretFile, type Vault } from 'service-kit'

/**
 * Where the hub keeps certificates and keys, below its data folder. `root/` is needed only when the region or a new
 * region authority is made: move it to a safe in between. Everything else the running hub reads.
 */
export function authorityFiles(dir: string) {
  const identity = join(dir, 'identity')
  return {
    /** Named as `npm run pki` wants a folder of an authority, which is what answers requests with it. */
    root: { certificate: join(dir, 'root', 'certificate.pem'), privateKey: join(dir, 'root', 'key.pem') },
    rootRegister: join(dir, 'root', 'register.json'),
    /** As they were named, and unencrypted, before 0.2. */
    earlierRoot: { certificate: join(dir, 'root', 'root.cert.pem'), privateKey: join(dir, 'root', 'root.key.pem') },
    /** Public copy, so that the root's folder can leave the machine. */
    rootCertificate: join(dir, 'authority', 'root.cert.pem'),
    /** The root's revocation list, carried here by file. */
    rootCrl: join(dir, 'authority', 'root.crl.pem'),
    region: { certificate: join(dir, 'authority', 'region-ca.cert.pem'), privateKey: join(dir, 'authority', 'region-ca.key.pem') },
    /** The key that the region authority is going to have, while its request is on the way to the root. */
    nextRegionKey: join(dir, 'authority', 'next-ca.key.pem'),
    /** Of before a change of key: they certify nothing more, and list what they certified as long as it counts. */
    formerRegions: join(dir, 'authority', 'former'),
    formerRegion: (serial: string) => ({ certificate: join(dir, 'authority', 'former', `${serial}.cert.pem`), privateKey: join(dir, 'authority', 'former', `${serial}.key.pem`) }),
    hub: { certificate: join(identity, 'hub.cert.pem'), privateKey: join(identity, 'hub.key.pem') },
    timeStamp: { certificate: join(identity, 'time-stamp.cert.pem'), privateKey: join(identity, 'time-stamp.key.pem') },
    /** Of before a renewal: what was sealed for them stays readable. */
    formerHubs: join(identity, 'former'),
    formerHub: (serial: string) => ({ certificate: join(identity, 'former', `${serial}.cert.pem`), privateKey: join(identity, 'former', `${serial}.key.pem`) }),
  } as const
}

export interface KeyFiles {
  readonly certificate: string
  readonly privateKey: string
}

export interface KeyMaterial {
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/** Service-kit's vault, as far as key files need it. */
export type KeySafe = Pick<Vault, 'seal' | 'open'>

const CERTIFICATE = '.cert.pem'
/** Binds a sealed key to the file it belongs in. */
const contextOf = (file: string) => `key-file/${basename(dirname(file))}/${basename(file)}`

/** Reads and writes pairs of certificate and key; the key sealed by the safe where there is one. */
export function keyFilesOf(safe: KeySafe | undefined) {
  const readKey = async (file: string): Promise<string | undefined> => {
    if (safe) return readSecretFile(safe, file, contextOf(file))
    const text = await readIfPresent(file)
    if (text !== undefined && isSealed(text)) throw new Error(`${file} is sealed by the vault of the running hub: nothing outside it can read this key`)
    return text
  }
  const writeKey = async (file: string, privateKeyPem: string): Promise<void> => {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    if (safe) await writeSecretFile(safe, file, privateKeyPem, contextOf(file))
    else await writeWhole(file, privateKeyPem, 0o600)
  }
  return {
    /** undefined when neither file exists; half a pair is an error, because making a new one would hide a loss. */
    async read(files: KeyFiles): Promise<KeyMaterial | undefined> {
      const [certificatePem, privateKeyPem] = await Promise.all([readIfPresent(files.certificate), readKey(files.privateKey)])
      if (certificatePem !== undefined && privateKeyPem !== undefined) return { certificatePem, privateKeyPem }
      if (certificatePem === undefined && privateKeyPem === undefined) return undefined
      throw new Error(`${certificatePem === undefined ? files.certificate : files.privateKey} is missing while its counterpart is there`)
    },
    /** Whether there is a pair, without reading the key. @throws An Error for half a pair. */
    async exist(files: KeyFiles): Promise<boolean> {
      const [certificate, key] = [await readIfPresent(files.certificate), await readIfPresent(files.privateKey)]
      if ((certificate === undefined) !== (key === undefined))
        throw new Error(`${certificate === undefined ? files.certificate : files.privateKey} is missing while its counterpart is there`)
      return key !== undefined
    },
    /** The key first: a crash in between is noticed at the next start instead of leaving a certificate without its key. */
    async write(files: KeyFiles, { certificatePem, privateKeyPem }: KeyMaterial): Promise<void> {
      await writeKey(files.privateKey, privateKeyPem)
      await writeWhole(files.certificate, certificatePem, 0o644)
    },
    /** A key alone, that has no certificate yet. */
    readKey,
    writeKey,
    /** Every pair in a folder; none when there is no folder. */
    async readFormer(folder: string): Promise<KeyMaterial[]> {
      const names = await readdir(folder).catch((error: unknown) => {
        if (isMissing(error)) return []
        throw error
      })
      const pairs = names.filter((name) => name.endsWith(CERTIFICATE)).map((name) => name.slice(0, -CERTIFICATE.length))
      const held = await Promise.all(pairs.sort().map((name) => this.read({ certificate: join(folder, `${name}${CERTIFICATE}`), privateKey: join(folder, `${name}.key.pem`) })))
      return held.filter((pair) => pair !== undefined)
    },
  }
}

/** Never half a file: a crash leaves the old content or the new. */
export async function writeWhole(file: string, text: string, mode: number): Promise<void> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const fresh = `${file}.new`
  await writeFile(fresh, text, { mode, flush: true })
  await rename(fresh, file)
}

export async function readIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

const isMissing = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'ENOENT'
