import { describe, expect, it } from 'vitest'
import { ASSERTION_SKEW_MS, ASSERTION_TYPE, ASSERTION_VALID_MS, IdentityAssertion, parseWith, services } from 'specs'
import { A, B, C, CHEST, HEAD, NOW } from '../access/builders.ts'
import { checkAssertion, type AssertedUse } from './decide.ts'

const chen = { userId: 'u7', name: '陈立', title: '主任医师', roles: ['expert'], rights: ['region.search', 'image.view'], authMethod: 'password+totp', signedInAt: NOW - 600_000 }
const anAssertion = (change: Record<string, unknown> = {}): IdentityAssertion =>
  parseWith(IdentityAssertion, {
    type: ASSERTION_TYPE, assertionId: '11111111-2f4b-4a57-9d0c-0d8f5f0a1b11', hospital: B, audience: A, service: services.grantAsk, person: chen,
    purpose: 'treatment', studyInstanceUid: CHEST, issuedAt: NOW, expires: NOW + ASSERTION_VALID_MS, ...change,
  }, 'assertion') // prettier-ignore
const aUse = (change: Partial<AssertedUse> = {}): AssertedUse => ({ here: A, from: B, signer: B, service: services.grantAsk, study: CHEST, needs: ['region.search'], now: NOW + 1_000, ...change })
const codeOf = (assertion: IdentityAssertion, use: AssertedUse): unknown => {
  try {
    checkAssertion(assertion, use)
    return 'good'
  } catch (error) {
    const { code, facts } = error as { code: string; facts: { reason?: string } }
    return facts.reason === undefined ? code : `${code} ${facts.reason}`
  }
}

describe('an expert of another hospital, on that hospital’s word', () => {
  it('is let in for the one call, study and purpose that the word was given for', () => {
    // FED-37
    expect(codeOf(anAssertion(), aUse())).toBe('good')
  })

  it.each([
    ['signed by another hospital', {}, { signer: C }, 'access/assertion-invalid signer'],
    ['passed on by another hospital', {}, { from: C }, 'access/assertion-invalid hospital'],
    ['made for another hospital', { audience: C }, {}, 'access/assertion-invalid audience'],
    ['made for another call', { service: services.examSearch }, {}, 'access/assertion-invalid service'],
    ['made for another study', { studyInstanceUid: HEAD }, {}, 'access/assertion-invalid study'],
    ['made for no study where one is asked', { studyInstanceUid: undefined }, {}, 'access/assertion-invalid study'],
    ['good for longer than five minutes', { expires: NOW + ASSERTION_VALID_MS + 1 }, {}, 'access/assertion-invalid validity'],
    ['over before it began', { expires: NOW }, {}, 'access/assertion-invalid validity'],
    ['old', {}, { now: NOW + ASSERTION_VALID_MS + ASSERTION_SKEW_MS }, 'access/assertion-expired'],
    ['from the future', {}, { now: NOW - ASSERTION_SKEW_MS - 1 }, 'access/assertion-expired'],
    ['of somebody without the right at home', { person: { ...chen, rights: ['image.view'] } }, {}, 'access/forbidden'],
  ] as const)('is refused when it is %s', (_what, change, use, expected) => {
    // FED-37
    expect(codeOf(anAssertion(change), aUse(use))).toBe(expected)
  })
})
