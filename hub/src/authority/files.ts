import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/**
 * Where the hub keeps certificates and keys, below its data folder. `root/` is needed only when the region or a new
 * region authority is made: move it to a safe in between. Everything else the running hub reads.
 */
export function authorityFiles(dir: string) {
  return {
    root: { certificate: join(dir, 'root', 'root.cert.pem'), privateKey: join(dir, 'root', 'root.key.pem') },
    /** Public copy, so that the root's folder can leave the machine. */
    rootCertificate: join(dir, 'authority', 'root.cert.pem'),
    region: { certificate: join(dir, 'authority', 'region-ca.cert.pem'), privateKey: join(dir, 'authority', 'region-ca.key.pem') },
    hub: { certificate: join(dir, 'identity', 'hub.cert.pem'), privateKey: join(dir, 'identity', 'hub.key.pem') },
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

/** undefined when neither file exists; half a pair is an error, because making a new one would hide a loss. */
export async function readKeyFiles(files: KeyFiles): Promise<KeyMaterial | undefined> {
  const [certificatePem, privateKeyPem] = await Promise.all([readIfPresent(files.certificate), readIfPresent(files.privateKey)])
  if (certificatePem !== undefined && privateKeyPem !== undefined) return { certificatePem, privateKeyPem }
  if (certificatePem === undefined && privateKeyPem === undefined) return undefined
  throw new Error(`${certificatePem === undefined ? files.certificate : files.privateKey} is missing while its counterpart is there`)
}

/** The key first: a crash in between is noticed at the next start instead of leaving a certificate without its key. */
export async function writeKeyFiles(files: KeyFiles, { certificatePem, privateKeyPem }: KeyMaterial): Promise<void> {
  await writeWhole(files.privateKey, privateKeyPem, 0o600)
  await writeWhole(files.certificate, certificatePem, 0o644)
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
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}
