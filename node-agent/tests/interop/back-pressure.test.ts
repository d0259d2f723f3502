import { Buffer } from 'node:buffer'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { parseAeTitle } from 'specs'
import { aSlice, testArchive } from '../../src/archive/archive.builder.ts'
import { buildDataset } from '../../src/dicom/dataset.builder.ts'
import { EXPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { sendInstances, type InstanceToSend } from '../../src/dimse/scu.ts'
import type { StorageSink } from '../../src/dimse/server.ts'
import { startReceiver } from './dimse-support.ts'

const MEGABYTE = 1 << 20
const associations = 8
const each = 2
const pixels = Buffer.alloc(3 * MEGABYTE, 7)

function instance(number: number): InstanceToSend {
  const sopInstanceUid = `2.25.5.${number}`
  return {
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid, transferSyntaxUid: EXPLICIT_LE,
    open: async () =>
      (async function* () {
        yield buildDataset(aSlice({ SOPInstanceUID: sopInstanceUid, PixelData: pixels }))
      })(),
  } // prettier-ignore
}

describe('an archive whose disk and database are slower than its senders', () => {
  it('slows them down instead of failing or filling its memory', async () => {
    // ARC-10: a disk of 24 MB/s for 8 associations, and a database that takes a third of a second for each transaction
    const test = await testArchive()
    const { write } = test.db
    test.db.write = async (work) => {
      await delay(300)
      return write(work)
    }
    let taken = 0
    let disk: Promise<unknown> = Promise.resolve()
    const slow = (sink: StorageSink): StorageSink => ({
      async begin(object) {
        const writer = await sink.begin(object)
        return {
          ...writer,
          async write(chunk) {
            disk = disk.then(() => delay((chunk.length / (24 * MEGABYTE)) * 1_000))
            await disk
            await writer.write(chunk)
            taken += chunk.length
          },
        }
      },
    })
    const receiver = await startReceiver({ storage: slow(archiveSink(test.archive)) })
    const received = receiver.metrics.counter('lianpian_dimse_received_bytes_total', 'Bytes of commands and data sets received')
    let mostWaiting = 0
    const watch = setInterval(() => {
      void received.get().then(({ values }) => (mostWaiting = Math.max(mostWaiting, (values[0]?.value ?? 0) - taken)))
    }, 10)
    const instances = Array.from({ length: associations * each }, (_each, number) => instance(number))
    const deliveries = await sendInstances({ aeTitle: parseAeTitle('LIANPIAN'), host: '127.0.0.1', port: receiver.port }, instances, { callingAeTitle: parseAeTitle('CT'), associations })
    clearInterval(watch)
    expect(deliveries.map(({ kind }) => kind)).toEqual(instances.map(() => 'stored'))
    expect(mostWaiting).toBeGreaterThan(0)
    // What each association may hold: one block gathered, one on its way, and what the connection brought before it was stopped.
    expect(mostWaiting).toBeLessThan(associations * MEGABYTE)
    expect(await test.archive.verify({ digests: true })).toMatchObject({ checkedInstances: instances.length, wrongDigest: [], orphans: [] })
    await receiver.stop()
    await test.close()
  })
})
