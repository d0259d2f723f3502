import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createAccount, createOperator, fromSeed, type KeyPair } from '@nats-io/nkeys'

/** The seeds that rule the region's NATS server. Whoever holds them can admit anybody: they never leave the hub's folder. */
export interface NatsKeys {
  readonly operator: KeyPair
  /** Account of the server's own administration ($SYS); the hub pushes revocations through it. */
  readonly system: KeyPair
  /** Account in which hub and nodes meet. */
  readonly region: KeyPair
}

const makers = { operator: createOperator, system: createAccount, region: createAccount } as const

/** Reads the keys of `dir`, making those that do not exist yet. Seed files have mode 0600. */
export async function loadOrCreateKeys(dir: string): Promise<NatsKeys> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  return {
    operator: await loadOrCreate(dir, 'operator'),
    system: await loadOrCreate(dir, 'system'),
    region: await loadOrCreate(dir, 'region'),
  }
}

async function loadOrCreate(dir: string, name: keyof typeof makers): Promise<KeyPair> {
  const file = join(dir, `${name}.seed`)
  const held = await readOrUndefined(file)
  if (held !== undefined) return fromSeed(new TextEncoder().encode(held.trim()))
  const made = makers[name]()
  await writePrivate(file, new TextDecoder().decode(made.getSeed()))
  return made
}

export async function readOrUndefined(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Writes for the owner's eyes only, and never half a file: a crash leaves the old content or the new. */
export async function writePrivate(file: string, text: string): Promise<void> {
  const fresh = `${file}.new`
  await writeFile(fresh, text, { mode: 0o600, flush: true })
  await chmod(fresh, 0o600)
  await rename(fresh, file)
}
