import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { sendSlice, testArchive } from '../../src/archive/archive.builder.ts'
import { FolderStore } from '../../src/archive/storage/folder-store.ts'
import { defaultPolicy } from '../../src/archive/storage/policy.ts'

const filler = fileURLToPath(new URL('./archive-filler.ts', import.meta.url))

/** Runs the filler until `enough` says so, then kills it without warning; answers what it had acknowledged. */
async function fill(folder: string, args: readonly string[], enough: (lines: readonly string[]) => boolean, shell = ''): Promise<string[]> {
  const node = [process.execPath, '--import', 'tsx', filler, folder, ...args]
  const child =
    shell === ''
      ? spawn(node[0] ?? '', node.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
      : spawn('bash', ['-c', `${shell}; exec "$@"`, 'bash', ...node], { stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  let complaint = ''
  child.stderr.on('data', (chunk) => (complaint += String(chunk)))
  const exited = once(child, 'exit')
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (enough(lines)) child.kill('SIGKILL')
  }
  await exited
  if (lines.length === 0) throw new Error(`the filler said nothing: ${complaint}`)
  return lines
}

const uidsOf = (lines: readonly string[], word: string) =>
  lines.filter((line) => line.startsWith(`${word} `)).map((line) => line.split(' ')[1] ?? '')

describe('an archive whose process is killed', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lianpian-kill-'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  it.each(['none', 'sm4'] as const)('has every instance that it acknowledged, and no file without a row (%s)', async (encryption) => {
    // ARC-06, ARC-22, rule 3: acknowledged means durable; some instances fill more than one write
    const pixelBytes = encryption === 'sm4' ? '300000' : '2000'
    let acknowledged: string[] = []
    for (const enough of [60, 130])
      acknowledged = [...acknowledged, ...uidsOf(await fill(folder, [pixelBytes, '100000', encryption], (lines) => lines.length >= enough), 'stored')]
    expect(new Set(acknowledged).size).toBeGreaterThanOrEqual(150)

    const test = await testArchive({}, folder)
    const check = await test.archive.verify({ digests: true })
    expect(check).toEqual({ checkedInstances: test.archive.totals().instances, missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
    const held = new Set((await test.archive.instances('2.25.1')).map((row) => row.sopInstanceUid as string))
    expect(acknowledged.filter((uid) => !held.has(uid))).toEqual([])
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    await test.close()
  })

  it('has every instance, wherever it lay at that moment: on its way to a store, back, or aside', async () => {
    // ARC-08, ARC-20, ARC-22
    const far = path.join(folder, 'far')
    await mkdir(far)
    const store = new FolderStore('far', far)
    await store.mark()
    let acknowledged: string[] = []
    for (const enough of [40, 90]) acknowledged = [...acknowledged, ...uidsOf(await fill(folder, ['20000', '100000', 'none', far], (lines) => lines.length >= enough), 'stored')]

    const test = await testArchive({}, folder)
    const { storage } = test.archive
    storage.apply({ stores: [store], policy: { ...defaultPolicy, integrity: { ...defaultPolicy.integrity, everyDays: 0, copiesReadPercent: 100, bytesPerSecond: 10_000_000_000, repair: false } } })
    // A study whose deletion was cut short is aside or in its place, whole in either.
    for (const { studyInstanceUid } of await storage.recycled()) await storage.restoreRecycled(studyInstanceUid)
    for (const uid of acknowledged) {
      const file = await test.archive.open(uid)
      expect((await file.read(0, file.sizeBytes)).subarray(128, 132).toString()).toBe('DICM')
    }
    await storage.integrity.begin()
    await storage.integrity.settled
    expect(await storage.integrity.last()).toMatchObject({ state: 'done', missing: 0, corrupt: 0, unreachable: 0, checked: test.archive.totals().instances })
    expect(await test.archive.verify({ digests: true })).toMatchObject({ missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
    // An object whose copying was cut short is removed after a day.
    await test.db.run('UPDATE archive_discard SET not_before = 0')
    const rows = async () => (await test.db.all<{ key: string }>('SELECT object_key AS "key" FROM archive_copy')).map(({ key }) => key).sort()
    const keys = async () => { const found: string[] = []; for await (const { key } of store.list()) found.push(key); return found.sort() } // prettier-ignore
    await vi.waitFor(async () => expect(await keys()).toEqual(await rows()), { timeout: 20_000, interval: 200 })
    expect((await rows()).length).toBeGreaterThan(10)
    await test.close()
  }, 90_000)

  it('refuses what the disk cannot take, keeps what it has, and goes on when there is room again', async () => {
    // The process may not write files over 2 MiB, which its database stays below: larger instances meet a real error of the operating system.
    const limit = "trap '' XFSZ; ulimit -f 2048"
    const lines = await fill(folder, ['3000000', '12'], () => false, limit)
    expect(new Set(lines.map((line) => line.replace(/2\.25\.7\.\d+ ?/, '')))).toEqual(new Set(['refused archive/out-of-space']))
    expect(lines).toHaveLength(12)

    const test = await testArchive({}, folder)
    expect(test.archive.totals().instances).toBe(0)
    expect(await readdir(path.join(test.root, 'incoming'))).toEqual([])
    expect((await sendSlice(test.archive)).outcome).toEqual({ kind: 'stored' })
    expect(await test.archive.verify()).toMatchObject({ checkedInstances: 1, missing: [], orphans: [] })
    await test.close()
  })
})
