import { randomBytes } from 'pki'
import { open, rm } from 'node:fs/promises'
import { codeOf } from '../storage-problem.ts'
import { writeFully } from './encrypted-output.ts'
import { HEADER_BYTES, isEncryptedPath } from './file-form.ts'

/**
 * Unlinks a file. Of an encrypted one the header with its key is overwritten first, so that the content is gone even where the disk still
 * has its blocks; a disk that writes elsewhere than told, and backups, keep their copies of the header.
 */
export async function destroyFile(file: string): Promise<void> {
  if (isEncryptedPath(file)) await destroyKey(file)
  await rm(file, { force: true })
}

async function destroyKey(file: string): Promise<void> {
  const handle = await open(file, 'r+').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  })
  if (!handle) return
  try {
    // Another name of the same content, in replaced/, may still be wanted.
    if ((await handle.stat()).nlink > 1) return
    await writeFully(handle, randomBytes(HEADER_BYTES), 0)
    await handle.datasync()
  } finally {
    await handle.close()
  }
}
