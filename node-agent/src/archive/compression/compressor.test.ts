import { gunzipSync } from 'node:zlib'
import { createLog, type Database } from 'service-kit'
import { CompressionRuleInput, HospitalId } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCodecPool, type Codecs } from '../../dicom/render/codec-pool.ts'
import { readFrame } from '../../dicom/frames.ts'
import { createRenderer } from '../../dicom/render/renderer.ts'
import { examMigrations } from '../../exam/store.ts'
import { sendSlice, testArchive, type TestArchive } from '../archive.builder.ts'
import { Compressor } from './compressor.ts'
import { addRule, changeRule, listResults, listRules } from './store.ts'
import { compressionMigrations } from './tables.ts'

const log = createLog({ name: 'test', level: 'silent' })
const DAY = 86_400_000
const NOW = Date.UTC(2026, 10, 22)
const jpegLs = '1.2.840.10008.1.2.4.80'
const jpeg2000Lossy = '1.2.840.10008.1.2.4.91'
const explicitLe = '1.2.840.10008.1.2.1'

let test: TestArchive
let db: Database
let codecs: Codecs
let now = NOW
let told: unknown[]
let compressor: Compressor

beforeEach(async () => {
  now = NOW
  told = []
  test = await testArchive()
  db = test.db
  await db.migrate('exam', examMigrations)
  await db.migrate('compression', compressionMigrations)
  codecs = createCodecPool({ log, threads: 1 })
  compressor = aCompressor()
})
afterEach(async () => {
  await compressor.stop()
  await codecs.close()
  await test.close()
})

const aCompressor = () => new Compressor({ db, log, codecs, archive: test.archive, hospitalId: HospitalId.parse('hospital-a'), audit: { note: (event) => void told.push(event.action) }, now: () => now })
const aRule = (changes: Partial<CompressionRuleInput> = {}): Promise<string> =>
  db.write((tx) => addRule(tx, CompressionRuleInput.parse({ modality: 'CT', afterHours: 24, transferSyntaxUid: jpegLs, ...changes }), '管理员', NOW))

/** 64×64 samples of a soft gradient; the exam has rested since `restedAt`. */
async function study(number: number, restedAt: number, changes: Parameters<typeof sendSlice>[1] = {}): Promise<string> {
  const samples = Buffer.from(Uint16Array.from({ length: 4096 }, (_each, at) => 1000 + (at % 64) + Math.floor(at / 64)).buffer)
  const receipt = await sendSlice(test.archive, { StudyInstanceUID: `2.25.${number}`, SeriesInstanceUID: `2.25.${number}1`, SOPInstanceUID: `2.25.${number}2`, Rows: 64, Columns: 64, PixelData: samples, ...changes })
  const empty = { accession_number: '', patient_id: 'P', patient_name: '', patient_sex: '', patient_birth_date: '', patient_age: '', modality: 'CT', body_part: '', description: '', study_date: '', study_time: '', clinical_history: '', report_findings: '', report_impression: '' }
  const row = { ...empty, exam_id: `exam-${number}`, study_instance_uid: receipt.studyInstanceUid, series_count: 1, instance_count: 1, size_bytes: 1, received_at: restedAt, updated_at: restedAt }
  const names = Object.keys(row)
  await db.run(`INSERT INTO exam (${names.join(', ')}) VALUES (${names.map((_name, at) => `$${at + 1}`).join(', ')})`, Object.values(row))
  return receipt.sopInstanceUid
}
const syntaxOf = async (sopInstanceUid: string) => (await test.archive.instance(sopInstanceUid))?.transferSyntaxUid
const samplesOf = async (sopInstanceUid: string) => {
  const file = await test.archive.open(sopInstanceUid)
  return file.transferSyntaxUid === explicitLe ? (await readFrame(file, 1)).bytes : (await createRenderer({ log, codecs }).decode(file, 1)).bytes
}

describe('compressing what has rested', () => {
  it('keeps every sample, makes files smaller and says by how much', async () => {
    // ARC-14
    const [old, young] = [await study(1, NOW - 2 * DAY), await study(2, NOW - DAY / 2)]
    const before = await samplesOf(old)
    const rule = await aRule()
    await compressor.run()
    expect([await syntaxOf(old), await syntaxOf(young)]).toEqual([jpegLs, explicitLe])
    expect((await samplesOf(old)).equals(before)).toBe(true)
    const [told1] = await listRules(db)
    expect(told1).toMatchObject({ id: rule, studies: 1, instances: 1, failed: 0 })
    expect(told1!.afterBytes).toBe((await test.archive.instance(old))?.sizeBytes)
    expect(told1!.afterBytes).toBeLessThan(told1!.beforeBytes / 2)
    expect(await test.archive.replacements('2.25.1')).toEqual([])
    expect((await test.archive.verify({ digests: true })).wrongDigest).toEqual([])
    expect(told).toEqual(['study.compress'])

    now += DAY
    await compressor.run()
    expect(await syntaxOf(young)).toBe(jpegLs)
  })

  it('goes by modality and campus, and leaves what is compressed already or has no pixels', async () => {
    // ARC-14
    const [mr, elsewhere, whole] = [await study(1, 0, { Modality: 'MR' }), await study(2, 0), await study(3, 0)]
    await db.run(`UPDATE exam SET campus = 'east' WHERE exam_id = 'exam-3'`)
    await aRule({ campus: 'east' })
    await compressor.run()
    expect([await syntaxOf(mr), await syntaxOf(elsewhere), await syntaxOf(whole)]).toEqual([explicitLe, explicitLe, jpegLs])
    await aRule({ modality: '*', transferSyntaxUid: '1.2.840.10008.1.2.5' })
    await compressor.run()
    expect(await syntaxOf(whole)).toBe(jpegLs)
  })

  it('looks at everything again when the rule changes, and at a study again when its exam changes', async () => {
    const [one, two] = [await study(1, 1_000, { Modality: 'MR' }), await study(2, 2_000)]
    const rule = await aRule()
    await compressor.run()
    expect([await syntaxOf(one), await syntaxOf(two)]).toEqual([explicitLe, jpegLs])
    await db.write((tx) => changeRule(tx, rule, CompressionRuleInput.parse({ modality: '*', afterHours: 24, transferSyntaxUid: jpegLs }), 1, '管理员', NOW))
    await compressor.run()
    expect(await syntaxOf(one)).toBe(jpegLs)
    const late = await sendSlice(test.archive, { StudyInstanceUID: '2.25.2', SeriesInstanceUID: '2.25.21', SOPInstanceUID: '2.25.29', Rows: 64, Columns: 64, PixelData: Buffer.alloc(8192) })
    await compressor.run()
    expect(await syntaxOf(late.sopInstanceUid)).toBe(explicitLe)
    await db.run(`UPDATE exam SET updated_at = 3000 WHERE exam_id = 'exam-2'`)
    await compressor.run()
    expect(await syntaxOf(late.sopInstanceUid)).toBe(jpegLs)
  })

  it('loses nothing twice, and says in the header what was lost', async () => {
    // ARC-14
    const once = await study(1, 0)
    const lossyAlready = await study(2, 0, { LossyImageCompression: '01' })
    await aRule({ transferSyntaxUid: jpeg2000Lossy, ratio: 8 })
    await compressor.run()
    expect([await syntaxOf(once), await syntaxOf(lossyAlready)]).toEqual([jpeg2000Lossy, explicitLe])
    const [row] = JSON.parse(gunzipSync(await test.archive.seriesMetadata('2.25.1', '2.25.11')).toString()) as Record<string, { Value?: unknown[] }>[]
    expect([row?.['00282110']?.Value, row?.['00282114']?.Value, row?.['00080008']?.Value]).toEqual([['01'], ['ISO_15444_1'], ['DERIVED', 'PRIMARY']])
    expect(row?.['00282112']?.Value?.[0]).toBeGreaterThan(4)
  })

  it('refuses rules that would lose what somebody still needs', () => {
    // ARC-14
    const rule = { modality: 'CT', afterHours: 24, transferSyntaxUid: jpeg2000Lossy }
    expect(CompressionRuleInput.safeParse(rule).success).toBe(true)
    for (const bad of [{ modality: '*' }, { modality: 'MG' }, { afterHours: 23 }, { transferSyntaxUid: explicitLe }]) expect(CompressionRuleInput.safeParse({ ...rule, ...bad }).success).toBe(false)
    expect(CompressionRuleInput.safeParse({ ...rule, modality: '*', afterHours: 0, transferSyntaxUid: jpegLs }).success).toBe(true)
  })

  it('tells which study could not be compressed, leaves it as it was, and goes on', async () => {
    const [broken, next] = [await study(1, 1_000), await study(2, 2_000)]
    const archive = { series: test.archive.series.bind(test.archive), rewriteStudy: (...asked: Parameters<typeof test.archive.rewriteStudy>) => (asked[0] === '2.25.1' ? Promise.reject(new Error('disk')) : test.archive.rewriteStudy(...asked)) }
    await aRule()
    const failing = new Compressor({ db, log, codecs, archive, hospitalId: HospitalId.parse('hospital-a'), audit: { note: () => undefined }, now: () => now })
    await failing.run()
    expect([await syntaxOf(broken), await syntaxOf(next)]).toEqual([explicitLe, jpegLs])
    expect(await listResults(db, 'failed', 10)).toMatchObject([{ studyInstanceUid: '2.25.1', code: 'archive/failed' }])
    now += DAY
    await compressor.run()
    expect(await syntaxOf(broken)).toBe(jpegLs)
    expect(await listRules(db)).toMatchObject([{ studies: 2, failed: 0 }])
  })
})
