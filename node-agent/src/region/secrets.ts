import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RegionId } from 'specs'

/** What must not lie in a database that others may back up or read: private key and NATS credentials of one membership. */
export interface RegionSecrets {
  readonly privateKeyPem: string
  readonly natsCredentials: string
}

/** Written for the owner of the process alone, each file whole or not at all. */
export async function saveSecrets(folder: string, regionId: RegionId, secrets: RegionSecrets): Promise<void> {
  const own = join(folder, regionId)
  await mkdir(own, { recursive: true, mode: 0o700 })
  await writeWhole(join(own, 'node.key.pem'), secrets.privateKeyPem)
  await writeWhole(join(own, 'nats.creds'), secrets.natsCredentials)
}

async function writeWhole(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text, { mode: 0o600, flush: true })
  await rename(`${file}.new`, file)
}

export async function readSecrets(folder: string, regionId: RegionId): Promise<RegionSecrets> {
  const read = (name: string) => readFile(join(folder, regionId, name), 'utf8')
  return { privateKeyPem: await read('node.key.pem'), natsCredentials: await read('nats.creds') }
}
