import { mkdir } from 'node:fs/promises'
import { createAccount, createOperator, fromSeed, type KeyPair } from '@nats-io/nkeys'
import { secretFilesIn, type Safe } from './secret-files.ts'

/** The seeds that rule the region's NATS server. Whoever holds them can admit anybody: they never leave the hub's folder. */
export interface NatsKeys {
  readonly operator: KeyPair
  /** Account of the server's own administration ($SYS); the hub pushes revocations through it. */
  readonly system: KeyPair
  /** Account in which hub and nodes meet. */
  readonly region: KeyPair
}

const makers = { operator: createOperator, system: createAccount, region: createAccount } as const

/**
 * Reads the keys of `dir`, making those that do not exist yet; with a `safe` they lie sealed. Files have mode 0600.
 * @returns undefined when they are sealed and there is no safe.
 */
export async function loadOrCreateKeys(dir: string, safe?: Safe): Promise<NatsKeys | undefined> {
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const [operator, system, region] = [await loadOrCreate(dir, 'operator', safe), await loadOrCreate(dir, 'system', safe), await loadOrCreate(dir, 'region', safe)]
  return operator && system && region && { operator, system, region }
}

async function loadOrCreate(dir: string, name: keyof typeof makers, safe: Safe | undefined): Promise<KeyPair | undefined> {
  const files = secretFilesIn(dir, safe)
  const held = await files.read(`${name}.seed`)
  if (held === 'sealed') return undefined
  if (held) return fromSeed(new TextEncoder().encode(held.text.trim()))
  const made = makers[name]()
  await files.write(`${name}.seed`, new TextDecoder().decode(made.getSeed()))
  return made
}
