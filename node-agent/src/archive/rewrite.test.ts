import { rewriteContract } from './rewrite.contract.ts'

rewriteContract('SQLite', () => Promise.resolve(undefined))
rewriteContract('SQLite with encrypted files', () => Promise.resolve(undefined), { encryptionMode: 'sm4' })
