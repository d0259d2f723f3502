import { Buffer } from 'node:buffer'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NormalisationRule } from 'specs'
import { maskedFile } from '../../dicomweb/identity-export.ts'
import { buildFile, type BuiltDataset } from '../../dicom/dataset.builder.ts'
import { tagOf } from '../../dicom/dictionary.ts'
import { aSlice, send, testArchive, type TestArchive } from '../archive.builder.ts'
import { headerCoercion, type StandingCorrections } from './coerce.ts'
import { NormalisationRules } from './rule-book.ts'
import { addRule } from './store.ts'

const ZHANG_SAN = Buffer.from('d5c5c8fd', 'hex')

describe('what comes into an archive that encrypts its files, with rules and a correction', () => {
  let test: TestArchive
  let rules: NormalisationRules
  let corrections: StandingCorrections

  beforeEach(async () => {
    corrections = { concern: () => false, valuesFor: () => undefined }
    const standing: StandingCorrections = { concern: (study) => corrections.concern(study), valuesFor: (values) => corrections.valuesFor(values) }
    test = await testArchive({ encryptionMode: 'sm4', coerce: (landed) => headerCoercion({ rules, corrections: standing })(landed) })
    rules = await NormalisationRules.open(test.db)
    const rule = NormalisationRule.parse({ name: 'old CT', source: 'CT9*', actions: [{ kind: 'character-set', readAs: 'auto' }, { kind: 'patient-id', upperCase: true }] })
    await test.db.write((tx) => addRule(tx, rule, 'admin', 1))
    await rules.refresh()
  })
  afterEach(() => test.close())

  const arrive = (dataset: BuiltDataset, peer: string) => send(test.archive, buildFile(dataset), { source: { kind: 'dimse', peer } })
  const undeclared = (change: BuiltDataset = {}): BuiltDataset => {
    const { SpecificCharacterSet: _none, ...dataset } = aSlice({ PatientName: ZHANG_SAN, StudyDescription: 'Chest', PatientID: 'ab1', ...change })
    return dataset
  }

  it('is read from where it landed and written anew, encrypted as well', async () => {
    // ARC-25
    await arrive(undeclared(), 'CT91')
    expect(await test.archive.study('2.25.1')).toMatchObject({ patientName: '张三', patientId: 'AB1' })
    expect((await test.archive.instance('2.25.301'))?.path).toMatch(/\.sm4$/)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongDigest: [], orphans: [] })
    expect(await test.archive.coercions()).toMatchObject([{ by: 'old CT' }])
  })

  it('is judged by the correction as the rules have made it, and one new item names both', async () => {
    // ARC-21
    corrections = {
      concern: (study) => study === '2.25.1',
      valuesFor: ({ patientId }) => (patientId === 'AB1' ? { values: new Map([[tagOf('PatientID') ?? 0, 'P9']]), by: 'correction:1' } : undefined),
    }
    await arrive(undeclared(), 'CT91')
    expect(await test.archive.study('2.25.1')).toMatchObject({ patientName: '张三', patientId: 'P9' })
    expect((await test.archive.coercions())[0]?.by).toBe('old CT, correction:1')
    await arrive(undeclared({ SOPInstanceUID: '2.25.302' }), 'US1')
    // No rule speaks of US1: it says ab1, which is nobody's former number.
    expect((await test.archive.coercions()).length).toBe(1)
  })

  it('of another hospital, or of our own making, is never touched', async () => {
    await send(test.archive, buildFile(undeclared()), { source: { kind: 'own', peer: 'CT91' } })
    expect(await test.archive.coercions()).toEqual([])
  })

  it('leaves masked without the former name, in whatever form it is kept', async () => {
    // SEC-06
    await arrive(undeclared(), 'CT91')
    const file = await test.archive.open('2.25.301')
    expect((await file.read(0, file.sizeBytes)).includes(ZHANG_SAN)).toBe(true)
    const masked = await maskedFile(file)
    const bytes = await masked.read(0, masked.sizeBytes)
    expect([bytes.includes(ZHANG_SAN), bytes.includes('张三')]).toEqual([false, false])
  })
})
