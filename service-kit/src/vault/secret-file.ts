import { open, readFile, rename } from 'node:fs/promises'
import { isSealed, type Vault } from './vault.ts'

/** Replaces the file in one step; after a crash there is the old or the new one. */
export async function writeSecretFile(vault: Pick<Vault, 'seal'>, file: string, content: string, context: string): Promise<void> {
  const handle = await open(`${file}.new`, 'w', 0o600)
  try {
    await handle.writeFile(`${vault.seal(content, context)}\n`)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(`${file}.new`, file)
}

/**
 * A key or credential that lies in a file. One that was written before there was a vault is sealed in place at its first reading, one under a
 * former key again under the key of today.
 * @returns undefined when there is no such file. @throws {Problem} vault/unreadable
 */
export async function readSecretFile(vault: Pick<Vault, 'open' | 'seal'> & Partial<Pick<Vault, 'isCurrent'>>, file: string, context: string): Promise<string | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  if (isSealed(text)) {
    const secret = vault.open(text.trim(), context)
    if (vault.isCurrent?.(text.trim()) === false) await writeSecretFile(vault, file, secret, context)
    return secret
  }
  await writeSecretFile(vault, file, text, context)
  return text
}
