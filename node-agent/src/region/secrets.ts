import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { loadPrivateKey, sm3Hex, type Sm2PrivateKey } from 'pki'
import { readSecretFile, writeSecretFile, type Vault } from 'service-kit'
import type { RegionId } from 'specs'

/** What must not lie in a database that others may back up or read: private keys and NATS credentials of one membership. */
export interface RegionSecrets {
  /** Every key this hospital has had in the region, PEM: content that was sealed for a former one stays readable. */
  readonly privateKeyPems: readonly string[]
  readonly natsCredentials: string
}

/** Service-kit's vault: what lies in files is sealed under the key of this installation. */
export type KeySafe = Pick<Vault, 'seal' | 'open'>

const CREDENTIALS = 'nats.creds'
const KEY_ENDING = '.key.pem'

const contextOf = (regionId: RegionId, name: string) => `region/${regionId}/${name}`

/** Beside the keys that are there already; a key is never written over another. */
export async function saveKey(safe: KeySafe, folder: string, regionId: RegionId, privateKeyPem: string): Promise<Sm2PrivateKey> {
  const key = loadPrivateKey(privateKeyPem)
  const name = `${sm3Hex(key.publicKey.point).slice(0, 16)}${KEY_ENDING}`
  await write(safe, folder, regionId, name, privateKeyPem)
  return key
}

/** For the owner of the process alone, sealed, each file whole or not at all. */
export async function saveSecrets(safe: KeySafe, folder: string, regionId: RegionId, secrets: RegionSecrets): Promise<void> {
  for (const pem of secrets.privateKeyPems) await saveKey(safe, folder, regionId, pem)
  await write(safe, folder, regionId, CREDENTIALS, secrets.natsCredentials)
}

/** What an earlier version left in clear text is sealed in place. @throws {Problem} vault/unreadable */
export async function readSecrets(safe: KeySafe, folder: string, regionId: RegionId): Promise<RegionSecrets> {
  const names = (await readdir(join(folder, regionId))).filter((name) => name.endsWith(KEY_ENDING))
  const privateKeyPems = await Promise.all(names.sort().map((name) => read(safe, folder, regionId, name)))
  return { privateKeyPems, natsCredentials: await read(safe, folder, regionId, CREDENTIALS) }
}

async function write(safe: KeySafe, folder: string, regionId: RegionId, name: string, text: string): Promise<void> {
  await mkdir(join(folder, regionId), { recursive: true, mode: 0o700 })
  await writeSecretFile(safe, join(folder, regionId, name), text, contextOf(regionId, name))
}

async function read(safe: KeySafe, folder: string, regionId: RegionId, name: string): Promise<string> {
  const file = join(folder, regionId, name)
  const text = await readSecretFile(safe, file, contextOf(regionId, name))
  if (text === undefined) throw new Error(`${file} is missing: without it this hospital cannot speak in its region. Restore it, or join again with a new code`)
  return text
}
