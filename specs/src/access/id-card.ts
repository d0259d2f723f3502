import { z } from 'zod'
import { isIdCard } from './masking.ts'

/** What the number itself says (GB 11643-1999 clause 3): digits 7 to 14 are the birth date, an odd 17th digit means male. */
export function factsOfIdCard(idCard: string): { birthDate: string; sex: 'M' | 'F' } {
  const birthDate = `${idCard.slice(6, 10)}-${idCard.slice(10, 12)}-${idCard.slice(12, 14)}`
  return { birthDate, sex: Number(idCard[16]) % 2 === 1 ? 'M' : 'F' }
}

/** 公民身份号码 as people type it: spaces and a small x are forgiven, a wrong digit is not. */
export const IdCard = z
  .string()
  .max(40)
  .transform((text) => text.replace(/\s/g, '').toUpperCase())
  .refine(isIdCard, '身份证号有误')
