import { join } from 'node:path'
import { EpochMs, parseWith } from 'specs'
import { z } from 'zod'
import type { Authority } from '../certificate/authority.ts'
import { issueCrl } from '../certificate/revocation-list.ts'
import { certificateFile, crlFile, keyFile, readText, replaceFile } from './files.ts'
import { passphraseFor, type Terminal } from './terminal.ts'

/** What an authority has done so far: without it nobody could revoke or number the next list. */
const Register = z.object({
  crlNumber: z.number().int().nonnegative(),
  issued: z.array(
    z.object({
      serial: z.string().regex(/^(?:[0-9a-f]{2}){1,20}$/),
      subject: z.string(),
      issuedAt: EpochMs,
      notAfter: EpochMs,
      revokedAt: EpochMs.optional(),
    }),
  ),
})
export type Register = z.infer<typeof Register>

const registerFile = (folder: string): string => join(folder, 'register.json')

export function readRegister(folder: string): Register {
  return parseWith(Register, JSON.parse(readText(registerFile(folder))), registerFile(folder))
}

export function writeRegister(folder: string, register: Register): void {
  replaceFile(registerFile(folder), `${JSON.stringify(register, undefined, 2)}\n`)
}

export async function readAuthority(folder: string, terminal: Terminal): Promise<Authority> {
  const certificatePem = readText(certificateFile(folder))
  const privateKeyPem = readText(keyFile(folder))
  if (!isEncrypted(privateKeyPem)) return { certificatePem, privateKeyPem }
  return { certificatePem, privateKeyPem, passphrase: await passphraseFor(terminal, `${folder} 私钥口令`) }
}

export const isEncrypted = (privateKeyPem: string): boolean => privateKeyPem.includes('BEGIN ENCRYPTED PRIVATE KEY')

/** Writes the next list, numbered one higher, from the register. @returns its number. */
export function writeNextCrl(folder: string, authority: Authority, now: EpochMs, nextUpdateMs: EpochMs): number {
  const register = readRegister(folder)
  const revoked = register.issued.flatMap(({ serial, revokedAt }) => (revokedAt === undefined ? [] : [{ serial, at: revokedAt }]))
  const number = register.crlNumber + 1
  const pem = issueCrl(authority, { revoked, number, nextUpdateMs, now })
  writeRegister(folder, { ...register, crlNumber: number }) // first, so that a crash skips a number instead of using one twice
  replaceFile(crlFile(folder), pem)
  return number
}
