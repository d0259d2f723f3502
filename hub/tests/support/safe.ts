import { Buffer } from 'node:buffer'
import type { KeySafe } from '../../src/authority/files.ts'

/** Stands for the vault where its cryptography does not matter: what went through it is marked as sealed. */
export const aSafe = (): KeySafe => ({
  seal: (text) => `v1.1.${Buffer.from(text).toString('base64url')}`,
  open: (sealed) => Buffer.from(sealed.split('.')[2] ?? '', 'base64url').toString('utf8'),
})
