import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { isKnownTransferSyntax } from '../dicom/transfer-syntax.ts'
import { conformanceStatement } from './conformance.ts'
import { sopClassKind, storageSopClasses } from './sop-classes.ts'

describe('the conformance statement', () => {
  it('is current: otherwise run npx tsx node-agent/src/dimse/write-conformance.ts', () => {
    // ARC-02
    expect(readFileSync(new URL('../../CONFORMANCE.md', import.meta.url), 'utf8')).toBe(conformanceStatement())
  })

  it('names each storage class once', () => {
    expect(new Set(storageSopClasses.map(({ uid }) => uid)).size).toBe(storageSopClasses.length)
  })

  it.each([
    ['CR', '1.2.840.10008.5.1.4.1.1.1'],
    ['DX', '1.2.840.10008.5.1.4.1.1.1.1'],
    ['MG', '1.2.840.10008.5.1.4.1.1.1.2'],
    ['CT', '1.2.840.10008.5.1.4.1.1.2'],
    ['MR', '1.2.840.10008.5.1.4.1.1.4'],
    ['RF', '1.2.840.10008.5.1.4.1.1.12.2'],
    ['XA', '1.2.840.10008.5.1.4.1.1.12.1'],
    ['NM', '1.2.840.10008.5.1.4.1.1.20'],
    ['PT', '1.2.840.10008.5.1.4.1.1.128'],
    ['US', '1.2.840.10008.5.1.4.1.1.6.1'],
    ['US multi-frame', '1.2.840.10008.5.1.4.1.1.3.1'],
    ['SC', '1.2.840.10008.5.1.4.1.1.7'],
    ['endoscopy', '1.2.840.10008.5.1.4.1.1.77.1.1'],
    ['pathology', '1.2.840.10008.5.1.4.1.1.77.1.6'],
    ['KO', '1.2.840.10008.5.1.4.1.1.88.59'],
  ])('takes %s', (_, uid) => {
    // ARC-13
    expect(sopClassKind(uid, { privateSopClasses: 'refuse' })).toBe('storage')
  })

  it.each([
    '.4.80',
    '.4.90',
    '.4.70',
    '.4.57',
    '.5',
    '.4.81',
    '.4.91',
    '.4.50',
    '.4.51',
    '.1',
    '.2',
    '',
    '.1.99',
    '.4.201',
    '.4.202',
    '.4.203',
  ])('takes transfer syntax 1.2.840.10008.1.2%s', (end) => {
    // ARC-03
    expect(isKnownTransferSyntax(`1.2.840.10008.1.2${end}`)).toBe(true)
  })
})
