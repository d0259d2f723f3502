import { randomInt } from 'node:crypto'
import { Problem } from 'specs'
import type { IdentitySettings } from '../config.ts'

export type PasswordPolicy = IdentitySettings['password']

/** What is wrong with a password; pages have a sentence for each. */
export type PasswordFault = 'too-short' | 'too-long' | 'too-few-classes' | 'guessable' | 'personal' | 'used-before'

/** Whose password it is to be: none of this may be in it. */
export interface PasswordOwner {
  readonly username: string
  readonly name: string
  readonly staffNumber?: string | null
  readonly phone?: string | null
}

/** What guessing programs try first, here and abroad. */
const commonWords = [
  'password', 'passwd', 'admin', 'administrator', 'root', 'welcome', 'letmein', 'iloveyou', 'monkey', 'dragon', 'master', 'login', 'test', 'guest',
  'qwertyuiop', 'asdfghjkl', 'zxcvbnm', 'qwerty', 'asdfgh', 'zxcvbn', 'qazwsx', '1qaz2wsx', 'q1w2e3r4', 'abcdef', 'abcd', 'abc',
  'woaini', 'wodemima', 'mima', 'yiyuan', 'hospital', 'yisheng', 'doctor', 'lianpian', 'pacs', 'dicom', '5201314', '1314', '520',
] // prettier-ignore
/** What little remains when common words, runs of digits and repeated characters are taken out must still be something. */
const MIN_OWN_CHARACTERS = 5

const classes = [/\p{Ll}/u, /\p{Lu}/u, /\p{Nd}/u, /[^\p{L}\p{Nd}]/u]

/** GB/T 22239-2019 8.1.4.1 a: complexity of authentication information. */
export function faultsOf(password: string, policy: PasswordPolicy, owner: PasswordOwner): PasswordFault[] {
  const faults: PasswordFault[] = []
  const length = [...password].length
  if (length < policy.minLength) faults.push('too-short')
  if (length > 200) faults.push('too-long')
  if (classes.filter((each) => each.test(password)).length < policy.minClasses) faults.push('too-few-classes')
  if ([...ownPartOf(password)].length < MIN_OWN_CHARACTERS) faults.push('guessable')
  const lower = password.toLowerCase()
  const personal = [owner.username, owner.name, owner.staffNumber, owner.phone].filter((text): text is string => (text?.length ?? 0) >= 2)
  if (personal.some((text) => lower.includes(text.toLowerCase()))) faults.push('personal')
  return faults
}

function ownPartOf(password: string): string {
  let rest = password
    .toLowerCase()
    .replaceAll('@', 'a')
    .replaceAll('$', 's')
    .replaceAll(/(?<=[a-z])0|0(?=[a-z])/g, 'o')
  for (const word of [...commonWords].sort((a, b) => b.length - a.length)) rest = rest.replaceAll(word, '')
  return rest.replaceAll(/(?:19|20)\d\d/g, '').replaceAll(/0123456789|(?:0?123456789?|98765432?1?0?|1234?5?|4321)/g, '').replaceAll(/(.)\1{2,}/gu, '$1')
}

/** @throws {Problem} access/password-weak naming what is wrong. */
export function refuseWeakPassword(password: string, policy: PasswordPolicy, owner: PasswordOwner): void {
  const faults = faultsOf(password, policy, owner)
  if (faults.length > 0) throw new Problem('access/password-weak', { faults, policy })
}

const lower = 'abcdefghijkmnpqrstuvwxyz'
const upper = 'ABCDEFGHJKLMNPQRSTUVWXYZ'
const digits = '23456789'
const signs = '-+=?'

/** For the first sign-in only: four groups of four, easy to read from paper, some 80 bits. */
export function initialPassword(minLength = 10): string {
  const draw = (alphabet: string) => alphabet[randomInt(alphabet.length)] ?? ''
  const length = Math.max(16, minLength)
  for (;;) {
    const drawn = Array.from({ length }, () => draw(lower + upper + digits + signs)).join('')
    if (classes.every((each) => each.test(drawn)) && [...ownPartOf(drawn)].length >= MIN_OWN_CHARACTERS) return drawn
  }
}
