import { describe, expect, it } from 'vitest'
import { IdentityConfig } from '../config.ts'
import { faultsOf, initialPassword } from './policy.ts'

const policy = IdentityConfig.parse({}).password
const wang = { username: 'wangjh', name: '王建华', staffNumber: '20031', phone: '13812348888' }

describe('the password policy', () => {
  it('asks for ten characters of three kinds', () => {
    // SEC-07
    expect(faultsOf('Zk4-bT9x', policy, wang)).toEqual(['too-short'])
    expect(faultsOf('zkwbtpxqrn', policy, wang)).toEqual(['too-few-classes'])
    expect(faultsOf('Zk4-bT9x-p', policy, wang)).toEqual([])
  })
  it('refuses what is guessed first, also in disguise', () => {
    for (const weak of ['Password123!', 'P@ssw0rd2026', 'Admin@123456', 'Qwerty123456!', 'Woaini5201314!', '1qaz2wsx3EDC', 'Aa111111111!'])
      expect(faultsOf(weak, policy, wang), weak).toContain('guessable')
  })
  it('refuses name, user name, staff number and telephone inside it', () => {
    for (const personal of ['Wangjh-Zk4b!', 'Zk4-20031-bT', '王建华Zk4-bT9x', 'Z-13812348888'])
      expect(faultsOf(personal, policy, wang), personal).toContain('personal')
  })
  it('is met by every password that is handed out', () => {
    for (let i = 0; i < 200; i++) expect(faultsOf(initialPassword(), policy, wang)).toEqual([])
  })
})
