import { Buffer } from 'node:buffer'
import { readdir, rename } from 'node:fs/promises'
import path from 'node:path'
import type { Database } from 'service-kit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildFile, type BuiltDataset } from '../dicom/dataset.builder.ts'
import type { ArchiveOptions, InstanceFile, RewriteOptions } from './archive.ts'
import { aSlice, send, sendSlice, testArchive, type TestArchive } from './archive.builder.ts'

const slice = (number: number, change: BuiltDataset = {}) => aSlice({ SOPInstanceUID: `2.25.301.${number}`, InstanceNumber: String(number), ...change })
/** 张三 becomes 李四 with another number. */
const right = { PatientName: 'Li^Si=李^四', PatientID: 'P9', AccessionNumber: 'A9', PatientBirthDate: '19800202' }
const options: RewriteOptions = { peer: 'wang', reason: 'correction', keepPrevious: true }

async function* corrected(file: InstanceFile) {
  await Promise.resolve()
  yield buildFile(slice(Number(file.row.instanceNumber), right))
}

async function bytesOf(stream: AsyncIterable<unknown>): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Rewriting stored studies, on every database we ship and in both forms of files. @param sameDatabase opens the latest new one again; undefined: a file in the archive's folder. */
export function rewriteContract(name: string, newDatabase: () => Promise<Database | undefined>, form: Partial<ArchiveOptions> = {}, sameDatabase = newDatabase): void {
  describe(`rewriting a study on ${name}`, () => {
    let test: TestArchive
    beforeEach(async () => {
      const db = await newDatabase()
      test = await testArchive({ ...form, ...(db && { db }) })
      for (const number of [1, 2, 3]) await send(test.archive, buildFile(slice(number)))
    })
    afterEach(async () => {
      await test.archive.delete('2.25.1')
      await test.close()
    })

    it('gives all instances new content in one step, with rows, series and patient, and keeps what was', async () => {
      // ARC-21
      const before = await test.archive.manifest('2.25.1')
      const result = await test.archive.rewriteStudy('2.25.1', options, corrected)
      expect(result).toMatchObject({ rewritten: 3, left: 0, lost: 0, series: ['2.25.11'] })
      expect(await test.archive.study('2.25.1')).toMatchObject({ patientName: 'Li^Si=李^四', patientId: 'P9', accessionNumber: 'A9', patientBirthDate: '19800202', instanceCount: 3 })
      expect((await test.archive.studies({ match: { PatientName: '李*' } })).length).toBe(1)
      expect(await test.archive.patients({ match: { PatientID: 'P1' } })).toEqual([])
      expect(await test.archive.patients({ match: { PatientID: 'P9' } })).toMatchObject([{ studyCount: 1 }])
      const metadata = await test.archive.seriesMetadata('2.25.1', '2.25.11')
      expect(metadata.length).toBeGreaterThan(0)
      const trace = await test.archive.replacements('2.25.1')
      expect(trace.map(({ reason, sourcePeer, rewriteId }) => [reason, sourcePeer, rewriteId])).toEqual(Array(3).fill(['correction', 'wang', result.rewriteId]))
      expect(trace.map(({ previousSm3 }) => previousSm3).sort()).toEqual(before.map(({ sm3 }) => sm3).sort())
      const [first] = trace
      const number = Number(first?.sopInstanceUid.split('.').at(-1))
      expect(await bytesOf(await test.archive.openReplaced(first?.keptAs ?? ''))).toEqual(buildFile(slice(number)))
      const sizeBytes = (await test.archive.manifest('2.25.1')).reduce((sum, row) => sum + row.sizeBytes, 0)
      expect(test.archive.totals()).toMatchObject({ studies: 1, instances: 3, sizeBytes })
      expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 3, missing: [], wrongDigest: [], wrongSize: [], orphans: [] })
    })

    it('takes an original that is sent again for a duplicate, and changed content for changed content', async () => {
      // ARC-12
      await test.archive.rewriteStudy('2.25.1', options, corrected)
      expect((await send(test.archive, buildFile(slice(1)))).outcome.kind).toBe('duplicate')
      expect((await test.archive.study('2.25.1'))?.patientId).toBe('P9')
      expect((await sendSlice(test.archive, slice(1, { ImageComments: 'repeated' }))).outcome.kind).toBe('replaced')
    })

    it('leaves the study as it was when one instance cannot be rewritten', async () => {
      const before = await test.archive.manifest('2.25.1')
      const failing = (file: InstanceFile) => {
        if (file.row.instanceNumber === '3') throw new Error('not this one')
        return corrected(file)
      }
      await expect(test.archive.rewriteStudy('2.25.1', options, failing)).rejects.toThrow('not this one')
      const other = () => (async function* () { await Promise.resolve(); yield buildFile(slice(77)) })() // prettier-ignore
      await expect(test.archive.rewriteStudy('2.25.1', options, other)).rejects.toMatchObject({ code: 'archive/identity-conflict' })
      expect(await test.archive.manifest('2.25.1')).toEqual(before)
      expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    })

    it('also rewrites what arrives while it is at work', async () => {
      let isFirst = true
      const slow = async (file: InstanceFile) => {
        if (isFirst) {
          isFirst = false
          await send(test.archive, buildFile(slice(4)))
        }
        return corrected(file)
      }
      expect(await test.archive.rewriteStudy('2.25.1', options, slow)).toMatchObject({ rewritten: 4 })
      expect(new Set((await test.archive.instances('2.25.1')).map(({ study }) => study.patientId))).toEqual(new Set(['P9']))
      expect((await test.archive.replacements('2.25.1')).length).toBe(4)
    })

    it('finishes at the next start when the process ends between the rows and the files', async () => {
      await test.archive.rewriteStudy('2.25.1', options, corrected)
      // As a crash leaves it: the new file still in incoming/, the former one still in its place.
      const [trace] = await test.archive.replacements('2.25.1')
      const row = await test.db.get<{ path: string; fileId: string }>('SELECT path, file_id AS "fileId" FROM archive_instance WHERE sop_instance_uid = $1', [trace?.sopInstanceUid ?? ''])
      await rename(path.join(test.root, row?.path ?? ''), path.join(test.root, 'incoming', `${row?.fileId}.part`))
      await rename(path.join(test.root, trace?.keptAs ?? ''), path.join(test.root, row?.path ?? ''))
      const db = await sameDatabase()
      test = await test.reopen(db ? { db } : {})
      expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongDigest: [], wrongSize: [], orphans: [] })
      expect(await bytesOf(await test.archive.openReplaced(trace?.keptAs ?? ''))).toHaveLength(trace?.previousSizeBytes ?? 0)
    })

    it('keeps nothing where nothing is to be kept, yet knows the originals', async () => {
      // ARC-14: compression
      await test.archive.rewriteStudy('2.25.1', { peer: 'compression', reason: 'compression', keepPrevious: false }, (file) => (file.row.instanceNumber === '2' ? corrected(file) : undefined))
      expect(await test.archive.replacements('2.25.1')).toEqual([])
      expect(await readdir(path.join(test.root, 'replaced'))).toEqual([])
      expect((await send(test.archive, buildFile(slice(2)))).outcome.kind).toBe('duplicate')
      expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: 3, missing: [], wrongDigest: [], orphans: [] })
    })
  })

  describe(`what is changed on the way in, on ${name}`, () => {
    it('is told per instance, keeps the digest it was sent under, and never costs an image', async () => {
      // ARC-25
      const db = await newDatabase()
      let fails = false
      const test = await testArchive({
        ...form, ...(db && { db }),
        coerce: ({ values }) =>
          values['patientId'] === ' P1'.trim() && values['instanceNumber'] !== '9'
            ? Promise.resolve({
                by: 'rule',
                changes: [{ attribute: 'PatientID', from: 'P1', to: 'P9' }],
                content: (async function* () {
                  await Promise.resolve()
                  if (fails) throw new Error('rule is broken')
                  yield buildFile(slice(Number(values['instanceNumber']), right))
                })(),
              })
            : undefined,
      }) // prettier-ignore
      try {
        expect((await send(test.archive, buildFile(slice(1)))).outcome.kind).toBe('stored')
        expect((await send(test.archive, buildFile(slice(1)))).outcome.kind).toBe('duplicate')
        expect(await test.archive.study('2.25.1')).toMatchObject({ patientId: 'P9', instanceCount: 1, duplicateCount: 1 })
        expect(await test.archive.coercions()).toMatchObject([{ sopInstanceUid: '2.25.301.1', by: 'rule', changes: [{ attribute: 'PatientID', from: 'P1', to: 'P9' }], sourcePeer: 'test' }])
        fails = true
        const asSent = await send(test.archive, buildFile(slice(2)))
        expect(asSent.outcome.kind).toBe('stored')
        expect((await test.archive.coercions({ studyInstanceUid: '2.25.1' })).length).toBe(1)
        const sent = buildFile(slice(9))
        await send(test.archive, sent)
        expect(await bytesOf((await test.archive.open('2.25.301.9')).stream())).toEqual(sent)
        expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongDigest: [], orphans: [] })
        expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
      } finally {
        await test.archive.delete('2.25.1')
        await test.close()
      }
    })
  })
}
