import type { Log, Vault } from 'service-kit'
import { FileKeys } from './file-keys.ts'
import { StorageCipher } from './storage-cipher.ts'

export { isEncryptedPath } from './file-form.ts'

/** `sm4`: what is written from now on lies encrypted on the disk. Files of both kinds are read whichever it is. */
export type EncryptionMode = 'none' | 'sm4'

/** Keys and machine of encrypted files, one for all archives of a node. */
export class FileEncryption {
  readonly keys: FileKeys
  readonly cipher: StorageCipher

  constructor({ vault, log, threads }: { readonly vault: Pick<Vault, 'seal' | 'openBytes' | 'isCurrent'>; readonly log: Log; readonly threads?: number }) {
    this.keys = new FileKeys(vault)
    this.cipher = new StorageCipher(log, threads === undefined ? {} : { threads })
  }

  close(): Promise<void> {
    return this.cipher.close()
  }
}
