import { chmod, readFile, rename, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isSealed, readSecretFile, writeSecretFile, type Vault } from 'service-kit'

/** Service-kit's vault, as far as files need it. */
export type Safe = Pick<Vault, 'seal' | 'open'>

const contextOf = (file: string) => `nats/${basename(file)}`

/**
 * Reads and writes what nobody but the hub may read: seeds, credentials, the TLS root's key. With the vault what lies in clear is sealed
 * at its first reading. Who prepares nats-server has no vault; it makes what is missing and leaves the sealed alone.
 */
export function secretFilesIn(dir: string, safe: Safe | undefined) {
  return {
    /** `sealed` when it is there and only the running hub can read it. */
    async read(name: string): Promise<{ text: string } | 'sealed' | undefined> {
      const file = join(dir, name)
      const text = safe ? await readSecretFile(safe, file, contextOf(file)) : await readOrUndefined(file)
      if (text === undefined) return undefined
      return isSealed(text) ? 'sealed' : { text }
    },
    async write(name: string, text: string): Promise<void> {
      const file = join(dir, name)
      if (safe) await writeSecretFile(safe, file, text, contextOf(file))
      else await writePrivate(file, text)
    },
  }
}

export const sealedElsewhere = (dir: string, name: string): Error =>
  new Error(`${join(dir, name)} is sealed by the vault of the running hub: nothing outside it can read it`)

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
