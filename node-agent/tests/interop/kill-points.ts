import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { expect } from 'vitest'
import { openDatabase, type DatabaseConfig } from 'service-kit'
import { parseAeTitle } from 'specs'
import { compiledProgram } from '../../../scripts/region/compiled.ts'
import { aSlice, testArchive } from '../../src/archive/archive.builder.ts'
import type { ArchiveCheck } from '../../src/archive/archive.ts'
import { buildDataset } from '../../src/dicom/dataset.builder.ts'
import { EXPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { sendInstances, type InstanceToSend } from '../../src/dimse/scu.ts'

const ASSOCIATIONS = 4
const CT = '1.2.840.10008.5.1.4.1.1.2'
/** From what goes out in one piece to what fills three blocks. */
const pixelBytes = [8, 3_000, 40_000, 270_000, 700_000]

/** The same numbers in every run. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

async function startReceiving(folder: string, database: DatabaseConfig | undefined) {
  const program = await compiledProgram('node-agent/tests/interop/receiving-process.ts')
  const child = spawn(process.execPath, [program, folder, ...(database ? [JSON.stringify(database)] : [])], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    const { port, check } = JSON.parse(line) as { port: number; check: ArchiveCheck }
    return { port, check, kill: () => child.kill('SIGKILL'), ended }
  }
  throw new Error('the receiving process ended before it listened')
}

function instance(uid: string, study: number, sizeBytes: number): InstanceToSend {
  return {
    sopClassUid: CT, sopInstanceUid: uid, transferSyntaxUid: EXPLICIT_LE,
    open: async () =>
      (async function* () {
        yield buildDataset(aSlice({ SOPInstanceUID: uid, StudyInstanceUID: `2.25.1.${study}`, SeriesInstanceUID: `2.25.1.${study}.1`, PixelData: Buffer.alloc(sizeBytes, sizeBytes & 0xff) }))
      })(),
  } // prettier-ignore
}

/**
 * Kills the archive without warning at `points` moments of a fixed seed while four associations send to it, starts it again each time, and looks at what is
 * there: every instance answered with success, readable to the last byte, and no file that no row names (ARC-06, ARC-22, rule 3).
 */
export async function killWhileReceiving(folder: string, points: number, database?: DatabaseConfig): Promise<{ stored: number }> {
  const random = numbers(20_261_122)
  const stored: string[] = []
  let number = 0
  for (let point = 0; point < points; point++) {
    const { port, check, kill, ended } = await startReceiving(folder, database)
    expect(check, `after kill ${point}`).toMatchObject({ missing: [], wrongSize: [], orphans: [] })
    const before = stored.length
    const senders = Array.from({ length: ASSOCIATIONS }, async (_each, sender) => {
      const instances = Array.from({ length: 200 }, () => instance(`2.25.9.${number++}`, (point + sender) % 7, pixelBytes[random(pixelBytes.length)] ?? 8))
      await sendInstances({ aeTitle: parseAeTitle('LIANPIAN'), host: '127.0.0.1', port }, instances, {
        callingAeTitle: parseAeTitle(`SENDER${sender}`),
        onDelivery: (delivery) => {
          if (delivery.kind === 'stored') stored.push(delivery.sopInstanceUid)
        },
      })
    })
    // After some answers and a moment more, wherever the four are then: how long a process takes to warm up says nothing.
    const enough = before + 1 + random(12)
    const latest = Date.now() + 20_000
    while (stored.length < enough && Date.now() < latest) await delay(2)
    await delay(random(60))
    kill()
    await ended
    await Promise.all(senders)
  }
  const db = database && (await openDatabase(database))
  const test = await testArchive(db ? { db } : {}, folder)
  const check = await test.archive.verify({ digests: true })
  expect(check).toMatchObject({ missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
  const held = new Set((await test.archive.instances(undefined)).map(({ sopInstanceUid }) => sopInstanceUid as string))
  expect(stored.filter((uid) => !held.has(uid))).toEqual([])
  for (const uid of stored.slice(-20)) expect((await test.archive.read(uid, 128, 4)).toString('latin1')).toBe('DICM')
  expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
  await test.close()
  return { stored: stored.length }
}
