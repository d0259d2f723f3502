import { Buffer } from 'node:buffer'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { sm3Hex } from 'pki'
import { createLog } from 'service-kit'
import { RegionId } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildDataset, buildFile } from '../dicom/dataset.builder.ts'
import { IMPLICIT_LE } from '../dicom/transfer-syntax.ts'
import type { StoredEvent } from './archive.ts'
import { aSlice, send, sendSlice, testArchive, type TestArchive } from './archive.builder.ts'

let test: TestArchive
beforeEach(async () => {
  test = await testArchive()
})
afterEach(() => test.close())

describe('receiving an instance', () => {
  it('answers only when file and rows are there, and keeps the dataset byte for byte as a Part 10 file', async () => {
    // FED-21, ARC-09, ARC-26
    const dataset = buildDataset(aSlice())
    const incoming = await test.archive.receive({ kind: 'dimse', peer: 'CT1' }, { part10: false, transferSyntaxUid: '1.2.840.10008.1.2.1' })
    for (const byte of dataset) await incoming.write(Buffer.from([byte]))
    const receipt = await incoming.commit({ sopInstanceUid: '2.25.301' })

    expect(receipt).toMatchObject({
      studyInstanceUid: '2.25.1',
      seriesInstanceUid: '2.25.11',
      sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
      outcome: { kind: 'stored' },
    })
    const row = await test.archive.instance('2.25.301')
    const file = await readFile(path.join(test.root, row?.path ?? ''))
    expect(row?.path).toBe('hospital-a/2026/03/01/2.25.1/2.25.11/2.25.301.dcm')
    expect(file.toString('latin1', 128, 132)).toBe('DICM')
    expect(file.subarray(file.length - dataset.length).equals(dataset)).toBe(true)
    expect(sm3Hex(file)).toBe(receipt.sm3)
    expect(file.length).toBe(receipt.sizeBytes)
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
  })

  it('writes the region of the moment of the commit; a study begun in one region stays there', async () => {
    // FED-20
    let active = 'east'
    await test.close()
    test = await testArchive({ regionId: () => RegionId.parse(active) })
    const late = await test.archive.receive({ kind: 'import', peer: 'test' }, { part10: true })
    await late.write(buildFile(aSlice({ StudyInstanceUID: '2.25.2', SeriesInstanceUID: '2.25.21', SOPInstanceUID: '2.25.211' })))
    await sendSlice(test.archive)
    active = 'west'
    await late.commit()
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302', InstanceNumber: '2' })
    const regions = async (study: string) => (await test.archive.instances(study)).map(({ regionId }) => regionId)
    expect([await regions('2.25.1'), await regions('2.25.2')]).toEqual([['east', 'east'], ['west']])
  })

  it('keeps the region that a transfer or a device brings along', async () => {
    // FED-20
    const regionId = RegionId.parse('old-region')
    const source = { kind: 'transfer', peer: 'hospital-b', regionId } as const
    await send(test.archive, buildFile(aSlice()), { source })
    await send(test.archive, buildFile(aSlice({ SOPInstanceUID: '2.25.302' })), {
      source: { ...source, regionId: RegionId.parse('new-region') },
    })
    expect((await test.archive.study('2.25.1'))?.regionId).toBe('old-region')
    expect((await test.archive.instances('2.25.1')).map((row) => row.regionId).sort()).toEqual(['new-region', 'old-region'])
  })

  it('registers patient, study, series and instance, each with region and hospital', async () => {
    // FED-09, FED-20, FED-21
    await sendSlice(test.archive)
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302', InstanceNumber: '2' })
    const [study] = await test.archive.studies()
    expect(study).toMatchObject({
      regionId: 'yunling',
      hospitalId: 'hospital-a',
      patientName: 'Zhang^San=张^三',
      studyDescription: '胸部平扫',
      modalitiesInStudy: ['CT'],
      bodyPartsExamined: ['CHEST'],
      seriesCount: 1,
      instanceCount: 2,
      duplicateCount: 0,
    })
    expect(study?.sopClassesInStudy).toEqual(['1.2.840.10008.5.1.4.1.1.2'])
    expect(await test.archive.patients()).toMatchObject([{ regionId: 'yunling', hospitalId: 'hospital-a', patientId: 'P1', studyCount: 1 }])
    expect((await test.archive.series('2.25.1'))[0]).toMatchObject({
      modality: 'CT',
      instanceCount: 2,
      study: { studyInstanceUid: '2.25.1' },
    })
    expect((await test.archive.instances('2.25.1')).map((row) => row.instanceNumber)).toEqual(['1', '2'])
    expect(test.archive.totals()).toMatchObject({ studies: 1, instances: 2, sizeBytes: study?.sizeBytes })
  })

  it('tells listeners after the instance is durable', async () => {
    const events: StoredEvent[] = []
    const stop = test.archive.onStored((event) => events.push(event))
    await sendSlice(test.archive)
    stop()
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302' })
    expect(events).toMatchObject([
      { receipt: { sopInstanceUid: '2.25.301' }, study: { instanceCount: 1, patientId: 'P1' }, source: { kind: 'import' } },
    ])
  })

  it('understands implicit VR and files without preamble or meta header', async () => {
    await sendSlice(test.archive, {}, { transferSyntaxUid: IMPLICIT_LE })
    await send(test.archive, buildDataset(aSlice({ SOPInstanceUID: '2.25.302' })))
    await send(test.archive, buildFile(aSlice({ SOPInstanceUID: '2.25.303' })).subarray(132))
    expect((await test.archive.instances('2.25.1')).map((row) => row.transferSyntaxUid)).toEqual([
      IMPLICIT_LE,
      '1.2.840.10008.1.2.1',
      '1.2.840.10008.1.2.1',
    ])
  })

  it('keeps transferred files whole, because their digest is in the manifest', async () => {
    const file = buildFile(aSlice())
    file[3] = 0x55 // something in the preamble
    const receipt = await send(test.archive, file, {
      source: { kind: 'transfer', peer: 'hospital-b' },
      expected: { sm3: sm3Hex(file), sizeBytes: file.length },
    })
    expect(receipt.sm3).toBe(sm3Hex(file))
    expect(await test.archive.study('2.25.1')).toMatchObject({ hospitalId: 'hospital-b' })
    const other = buildFile(aSlice({ SOPInstanceUID: '2.25.302' }))
    await expect(
      send(test.archive, other, { source: { kind: 'transfer', peer: 'hospital-b' }, expected: { sm3: sm3Hex(file) } }),
    ).rejects.toMatchObject({ code: 'transfer/digest-mismatch' })
    expect(await test.archive.instance('2.25.302')).toBeUndefined()
  })
})

describe('receiving an instance again', () => {
  it('keeps one of two equal ones and counts the duplicate, whichever way it came', async () => {
    // FED-22, ARC-12
    await sendSlice(test.archive)
    const before = test.archive.totals()
    const incoming = await test.archive.receive({ kind: 'dimse', peer: 'CT1' }, { part10: false, transferSyntaxUid: '1.2.840.10008.1.2.1' })
    await incoming.write(buildDataset(aSlice()))
    expect((await incoming.commit()).outcome).toEqual({ kind: 'duplicate' })
    expect(test.archive.totals()).toEqual(before)
    expect(await test.archive.study('2.25.1')).toMatchObject({ instanceCount: 1, duplicateCount: 1, sizeBytes: before.sizeBytes })
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
  })

  it('replaces changed content, corrects the rows and keeps the previous file in the trace', async () => {
    // FED-22
    const first = await sendSlice(test.archive)
    const previous = await test.archive.read('2.25.301', 0, first.sizeBytes)
    const second = await sendSlice(test.archive, { StudyDescription: '腹部', StudyDate: '20260302', PatientName: 'Li^Si=李^四' })
    expect(second.outcome).toEqual({ kind: 'replaced', previous: first.sm3 })
    expect(await test.archive.study('2.25.1')).toMatchObject({ instanceCount: 1, studyDescription: '腹部', patientName: 'Li^Si=李^四' })
    const [trace] = await test.archive.replacements('2.25.1')
    expect(trace).toMatchObject({ sopInstanceUid: '2.25.301', previousSm3: first.sm3, newSm3: second.sm3 })
    expect((await readFile(path.join(test.root, trace?.keptAs ?? ''))).equals(previous)).toBe(true)
    expect(await test.archive.verify()).toEqual({ checkedInstances: 1, missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
  })

  it('decides one after the other when both arrive at once', async () => {
    const outcomes = await Promise.all(
      Array.from({ length: 6 }, (_each, index) => sendSlice(test.archive, { ImageComments: `version ${index % 2}` })),
    )
    const kinds = outcomes.map(({ outcome }) => outcome.kind)
    expect(kinds.filter((kind) => kind === 'stored')).toHaveLength(1)
    expect(test.archive.totals()).toMatchObject({ studies: 1, instances: 1 })
    expect((await test.archive.replacements('2.25.1')).length).toBe(kinds.filter((kind) => kind === 'replaced').length)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
  })

  it('says so when an instance names another patient than its study', async () => {
    const lines: { msg: string; sopInstanceUid?: string }[] = []
    test = await test.reopen({
      log: createLog({ name: 'archive' }, { write: (line) => lines.push(JSON.parse(line) as (typeof lines)[0]) }),
    })
    await sendSlice(test.archive)
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302', PatientID: 'P9', PatientName: 'Nobody' })
    expect(lines).toMatchObject([{ msg: 'instance names another patient than its study', sopInstanceUid: '2.25.302' }])
    expect(JSON.stringify(lines)).not.toMatch(/Nobody|P9|Zhang/)
    expect(await test.archive.study('2.25.1')).toMatchObject({ patientId: 'P1', instanceCount: 2 })
  })

  it('refuses a UID that already belongs to another study or another hospital', async () => {
    await sendSlice(test.archive)
    await expect(sendSlice(test.archive, { StudyInstanceUID: '2.25.2' })).rejects.toMatchObject({ code: 'archive/identity-conflict' })
    await expect(
      send(test.archive, buildFile(aSlice({ SOPInstanceUID: '2.25.9' })), { source: { kind: 'transfer', peer: 'hospital-b' } }),
    ).rejects.toMatchObject({ code: 'archive/identity-conflict' })
    expect(test.archive.totals().instances).toBe(1)
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
  })
})

describe('refusing an instance', () => {
  it.each([
    ['no SOP Instance UID', { SOPInstanceUID: '' }, 'archive/bad-uid'],
    ['a path as SOP Instance UID', { SOPInstanceUID: '../../x' }, 'archive/bad-uid'],
    ['a path as Study Instance UID', { StudyInstanceUID: '1/../../etc' }, 'archive/bad-uid'],
    ['a Series Instance UID of 65 characters', { SeriesInstanceUID: `1.${'2'.repeat(63)}` }, 'archive/bad-uid'],
  ])('with %s', async (_what, changes, code) => {
    const dataset = buildDataset(aSlice(changes))
    const incoming = await test.archive.receive({ kind: 'dimse', peer: 'X' }, { part10: false, transferSyntaxUid: '1.2.840.10008.1.2.1' })
    await expect(incoming.write(dataset).then(() => incoming.commit())).rejects.toMatchObject({ code })
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    expect(test.archive.totals().instances).toBe(0)
  })

  it('that breaks off inside any element, leaving nothing behind', async () => {
    const content = aSlice({ ReferencedStudySequence: [{ ReferencedSOPInstanceUID: '1.2' }] })
    const elements = Object.entries(content).map(([keyword, value]) => buildDataset({ [keyword]: value }, { undefinedLengths: true }))
    const dataset = buildDataset(content, { undefinedLengths: true })
    const boundaries = new Set(elements.map((element) => dataset.indexOf(element) + element.length))
    for (let length = 0; length < dataset.length; length += 5) {
      if (boundaries.has(length)) continue
      const incoming = await test.archive.receive({ kind: 'dimse', peer: 'X' }, { part10: false, transferSyntaxUid: '1.2.840.10008.1.2.1' })
      const outcome = incoming.write(dataset.subarray(0, length)).then(() => incoming.commit())
      await expect(outcome, `${length} of ${dataset.length} bytes`).rejects.toMatchObject({ name: 'Problem' })
    }
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    expect(test.archive.totals().instances).toBe(0)
  })

  it('that is not what the command announced', async () => {
    const file = buildFile(aSlice())
    await expect(send(test.archive, file, { expected: { sopInstanceUid: '1.2.3' } })).rejects.toMatchObject({
      code: 'archive/uid-mismatch',
    })
    await expect(send(test.archive, file, { expected: { sopClassUid: '1.2.3' } })).rejects.toMatchObject({ code: 'archive/uid-mismatch' })
  })

  it('in an unknown transfer syntax, and things that are not DICOM', async () => {
    await expect(test.archive.receive({ kind: 'dimse', peer: 'X' }, { part10: false, transferSyntaxUid: '1.2.3' })).rejects.toMatchObject({
      code: 'archive/unreadable',
    })
    for (const bytes of [Buffer.alloc(0), Buffer.from('PK\u0003\u0004'), Buffer.alloc(100_000), Buffer.alloc(200, 'A')])
      await expect(send(test.archive, bytes)).rejects.toMatchObject({ code: 'archive/unreadable' })
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
  })

  it('when the disk has less room than must stay free', async () => {
    const full = await test.reopen({ minFreeBytes: Number.MAX_SAFE_INTEGER })
    test = full
    await expect(sendSlice(full.archive)).rejects.toMatchObject({ code: 'archive/out-of-space' })
    expect(await readdir(path.join(full.root, 'incoming'))).toEqual([])
  })

  it('is undone by abort', async () => {
    const incoming = await test.archive.receive({ kind: 'dimse', peer: 'X' }, { part10: true })
    await incoming.write(buildFile(aSlice()))
    await incoming.abort()
    await incoming.abort()
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    expect(test.archive.totals().instances).toBe(0)
  })
})

describe('after a crash', () => {
  it('puts a registered file in its place, drops one that was never acknowledged, and finishes deleting', async () => {
    // ARC-06, rule 3: acknowledged means durable
    await sendSlice(test.archive)
    await sendSlice(test.archive, { SOPInstanceUID: '2.25.302' })
    const row = await test.db.get<{ path: string; fileId: string }>(
      `SELECT path, file_id AS "fileId" FROM archive_instance WHERE sop_instance_uid = '2.25.301'`,
    )
    const file = path.join(test.root, row?.path ?? '')
    const content = await readFile(file)
    await rm(file)
    await writeFile(path.join(test.root, 'incoming', `${row?.fileId}.part`), content)
    await writeFile(path.join(test.root, 'incoming', 'half-arrived.part'), 'x')
    await writeFile(path.join(test.root, 'stale.dcm'), 'x')
    await test.db.run(`INSERT INTO archive_unlink (path) VALUES ('stale.dcm')`)
    expect((await test.archive.read('2.25.301', 0, content.length)).equals(content)).toBe(true) // readable even before

    test = await test.reopen()
    expect((await readFile(file)).equals(content)).toBe(true)
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    expect(await test.archive.verify({ digests: true })).toEqual({
      checkedInstances: 2,
      missing: [],
      wrongSize: [],
      wrongDigest: [],
      orphans: [],
    })
    expect(test.archive.totals().instances).toBe(2)
  })

  it('finds lost, altered and unlisted files, and takes a lost instance again when it is sent', async () => {
    // ARC-22
    for (const uid of ['2.25.301', '2.25.302', '2.25.303']) await sendSlice(test.archive, { SOPInstanceUID: uid })
    const at = async (uid: string) => path.join(test.root, (await test.archive.instance(uid))?.path ?? '')
    await rm(await at('2.25.301'))
    await writeFile(await at('2.25.302'), 'short')
    const altered = await readFile(await at('2.25.303'))
    altered[altered.length - 1] = 0xff
    await writeFile(await at('2.25.303'), altered)
    await writeFile(path.join(test.root, 'hospital-a', 'stranger.dcm'), 'x')

    expect(await test.archive.verify({ digests: true })).toEqual({
      checkedInstances: 3,
      missing: ['2.25.301'],
      wrongSize: ['2.25.302'],
      wrongDigest: ['2.25.303'],
      orphans: ['hospital-a/stranger.dcm'],
    })
    for (const uid of ['2.25.301', '2.25.302', '2.25.303'])
      expect((await sendSlice(test.archive, { SOPInstanceUID: uid })).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongSize: [], wrongDigest: [] })
    expect(test.archive.totals().instances).toBe(3)
  })
})

describe('deleting a study', () => {
  it('removes rows and files, the trace included', async () => {
    await sendSlice(test.archive)
    await sendSlice(test.archive, { ImageComments: 'changed' })
    await sendSlice(test.archive, { StudyInstanceUID: '2.25.2', SeriesInstanceUID: '2.25.21', SOPInstanceUID: '2.25.401', PatientID: 'P2' })
    await test.archive.delete('2.25.1')
    await test.archive.delete('2.25.1')
    expect((await test.archive.studies()).map((row) => row.studyInstanceUid)).toEqual(['2.25.2'])
    expect((await test.archive.patients()).map((row) => row.patientId)).toEqual(['P2'])
    expect(await readdir(path.join(test.root, 'replaced'))).toEqual([])
    expect(await test.archive.verify()).toMatchObject({ checkedInstances: 1, orphans: [] })
    expect(test.archive.totals()).toMatchObject({ studies: 1, instances: 1 })
    await expect(test.archive.manifest('2.25.1')).rejects.toMatchObject({ code: 'archive/unknown-study' })
  })
})
