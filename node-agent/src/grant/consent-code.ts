import { randomBytes } from 'node:crypto'
import { sm3Hex } from 'pki'
import type { HospitalId } from 'specs'

/** Crockford's digits: none that is taken for another when somebody reads it aloud. */
const digits = '0123456789ABCDEFGHJKMNPQRSTVWXYZ'
const SECRET_LENGTH = 28 // 140 bits: beyond guessing, so that no counter has to protect it
const MARK_LENGTH = 4

/** Which hospital gave the code, so that the treating hospital shows it to that one and to no other. */
export function markOf(hospitalId: HospitalId): string {
  const hash = Buffer.from(sm3Hex(Buffer.from(`consent code ${hospitalId}`, 'utf8')), 'hex')
  return [...hash.subarray(0, MARK_LENGTH)].map((byte) => digits[byte % 32]).join('')
}

/** 授权码: 32 characters, the hospital's mark first. */
export const newCode = (hospitalId: HospitalId): string => markOf(hospitalId) + [...randomBytes(SECRET_LENGTH)].map((byte) => digits[byte % 32]).join('')

/** As printed and read: eight groups of four. */
export const inGroups = (code: string): string => code.match(/.{1,4}/g)?.join('-') ?? ''

export const issuerOf = (code: string, hospitals: readonly HospitalId[]): HospitalId | undefined => hospitals.find((id) => code.startsWith(markOf(id)))
