import { randomBytes } from 'node:crypto'
import { Buffer } from 'node:buffer'
import { open, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { RegionId, SopInstanceUid, services, type GrantId } from 'specs'
import { A, B, C, TASK } from '../access/builders.ts'
import { withdrawGrants } from '../access/grant-store.ts'
import { findJob, jobsOfStudy, unannouncedTasks } from './store.ts'
import { DirectLine, identityOf, STUDY, TransferBench } from './transfer.builder.ts'
import { signDocument } from 'pki'

let bench: TransferBench | undefined
const openBench = async (...sizes: number[]): Promise<TransferBench> => (bench = await TransferBench.open(sizes))
afterEach(async () => {
  await bench?.close()
  bench = undefined
})

const until = async (transferId: string, state: string) =>
  vi.waitFor(async () => {
    const job = await findJob(bench!.dbC, transferId)
    expect(job?.state).toBe(state)
    return job!
  }, 10_000)
const uid = (index: number) => SopInstanceUid.parse(`2.25.3${String(index).padStart(2, '0')}`)
const heldAt = async (b: TransferBench) =>
  (await b.cache.study(STUDY)) ? (await b.cache.instances(STUDY)).map((row) => row.sopInstanceUid).sort() : []

describe('fetching a study from its owner', () => {
  it('brings every instance, byte for byte, once, and tells that it is here', async () => {
    // FED-10, CON-09
    const b = await openBench(20_000, 200, 60_000)
    await b.engine.start()
    const transferId = await b.wish()
    expect(await until(transferId, 'complete')).toMatchObject({ instancesDone: 3, instancesTotal: 3, problem: null })
    expect((await b.cache.manifest(STUDY)).map((row) => row.sm3)).toEqual((await b.own.manifest(STUDY)).map((row) => row.sm3))
    expect((await b.cache.instance(uid(0)))?.sourcePeer).toBe(A)
    expect((await b.cache.study(STUDY))?.hospitalId).toBe(A)
    expect(await unannouncedTasks(b.dbC)).toMatchObject([{ taskId: TASK, instanceCount: 3 }])
    const asked = b.lineC.asked.length
    await b.wish()
    await vi.waitFor(() => expect(b.completed).toBe(2), 10_000)
    expect(b.lineC.asked.length).toBe(asked) // everything was here already
  })

  it('carries the region of the task that asked, also when this hospital has moved to another meanwhile', async () => {
    // FED-20, AGT-03
    const b = await openBench(20_000, 200)
    const transferId = await b.wish({ regionId: RegionId.parse('old-region') })
    await b.engine.start()
    await until(transferId, 'complete')
    expect((await b.cache.instances(STUDY)).map(({ regionId }) => regionId)).toEqual(['old-region', 'old-region'])
    expect((await b.cache.study(STUDY))?.regionId).toBe('old-region')
  })

  it('goes on at the byte where it stopped, after the line was cut and the process killed', async () => {
    // AGT-15, AGT-16
    const b = await openBench(400_000)
    const pieces = Math.ceil((400_000 + 1_500) / 16_384)
    b.lineC.onBytes = (answer) => {
      if (b.lineC.asked.length > 12) b.lineC.isCut = true
      return answer
    }
    await b.engine.start()
    const transferId = await b.wish()
    await vi.waitFor(async () => expect((await findJob(b.dbC, transferId))?.problem?.code).toBe('region/hospital-offline'), 10_000)
    await b.engine.stop()
    expect((await findJob(b.dbC, transferId))?.state).toBe('waiting')
    const before = b.lineC.asked.length
    b.lineC.onBytes = (answer) => answer
    b.lineC.isCut = false
    await b.newEngine().start()
    await until(transferId, 'complete')
    expect(b.lineC.asked.length - before).toBeLessThanOrEqual(pieces - 10)
    expect((await b.cache.manifest(STUDY)).map((row) => row.sm3)).toEqual((await b.own.manifest(STUDY)).map((row) => row.sm3))
  })

  it('lies encrypted also while it is unfinished, goes on at its byte, and begins anew what lay in clear or under another key', async () => {
    // SEC-09
    const b = (bench = await TransferBench.open([400_000], { encrypted: true }))
    const cutAfter = (asked: number) => (answer: Uint8Array) => {
      if (b.lineC.asked.length > asked) b.lineC.isCut = true
      return answer
    }
    const untilCut = async () => {
      await vi.waitFor(() => expect(b.lineC.isCut).toBe(true), 10_000)
      await vi.waitFor(async () => expect((await findJob(b.dbC, transferId))?.problem?.code).toBe('region/hospital-offline'), 10_000)
      await b.engine.stop()
    }
    const unfinished = async () => (await readdir(b.folder, { recursive: true })).filter((name) => name.includes('.part'))
    b.lineC.onBytes = cutAfter(12)
    await b.engine.start()
    const transferId = await b.wish()
    await untilCut()
    const [name, ...others] = await unfinished()
    expect(others).toEqual([])
    expect(name).toMatch(/\.part\.sm4$/)
    const bytes = await readFile(join(b.folder, name!))
    expect(bytes.length).toBeGreaterThan(100_000)
    // Every pixel of this slice is 1.
    expect(bytes.includes(Buffer.alloc(16, 1)) || bytes.includes('DICM') || bytes.includes(STUDY)).toBe(false)

    const before = b.lineC.asked.length
    b.lineC.onBytes = cutAfter(before + 6)
    b.lineC.isCut = false
    await b.newEngine().start()
    await untilCut()
    expect((await stat(join(b.folder, name!))).size).toBeGreaterThan(bytes.length)

    // What was begun in clear, and what no longer opens, is not gone on with.
    await writeFile(join(b.folder, name!.replace('.sm4', '')), 'in clear')
    await writeFile(join(b.folder, name!), Buffer.alloc(bytes.length, 5))
    b.lineC.onBytes = (answer) => answer
    b.lineC.isCut = false
    await b.newEngine().start()
    await until(transferId, 'complete')
    expect(await unfinished()).toEqual([])
    expect((await b.cache.instance(uid(0)))?.path).toMatch(/\.sm4$/)
    expect((await b.cache.manifest(STUDY)).map((row) => row.sm3)).toEqual((await b.own.manifest(STUDY)).map((row) => row.sm3))
  })

  it('opens a new session when the owner was restarted in the middle', async () => {
    const b = await openBench(100_000, 100_000, 100_000)
    let pieces = 0
    b.lineC.onBytes = (answer) => {
      if (++pieces === 8) b.newOwner()
      return answer
    }
    await b.engine.start()
    await until(await b.wish(), 'complete')
  })

  it('fetches what was changed on the way again, and gives up visibly what stays wrong', async () => {
    const b = await openBench(1_000, 1_000)
    const good = b.lineC.onBytes
    let spoilt = 0
    b.lineC.onBytes = (answer) => {
      if (++spoilt !== 1) return answer
      const changed = Uint8Array.from(answer)
      changed[changed.length - 1]! ^= 1 // the last pixel, so that only the digest can tell
      return changed
    }
    await b.engine.start()
    const transferId = await b.wish()
    await until(transferId, 'complete')
    expect(spoilt).toBe(3)
    b.lineC.onBytes = good
  })

  it('keeps the other instances when one is damaged at its owner, shows the failure, and completes after repair', async () => {
    // FED-23
    const b = await openBench(1_000, 1_000, 1_000)
    const { file } = await b.own.open(uid(1))
    const handle = await open(file, 'r+')
    const { size } = await handle.stat()
    await handle.write(Buffer.of(0xff), 0, 1, size - 1)
    await b.engine.start()
    const transferId = await b.wish()
    expect(await until(transferId, 'failed')).toMatchObject({
      instancesDone: 2,
      instancesTotal: 3,
      problem: { code: 'transfer/digest-mismatch' },
    })
    expect(await heldAt(b)).toEqual([uid(0), uid(2)])
    expect(b.lineC.asked.length).toBe(2 + 3) // three attempts at the damaged one
    await handle.write(Buffer.of(2), 0, 1, size - 1)
    await handle.close()
    await b.engine.retry(transferId)
    await until(transferId, 'complete')
  })

  it('ends when the grant is withdrawn in the middle', async () => {
    // CON-20: enough pieces that a slow disk commits the withdrawal while some are still to come
    const b = await openBench(1_000_000, 1_000_000)
    let pieces = 0
    b.lineC.onBytes = async (answer) => {
      if (++pieces === 3) await b.dbA.write((tx) => withdrawGrants(tx, TASK, 'cancelled', Date.now()))
      return answer
    }
    await b.engine.start()
    expect(await until(await b.wish(), 'failed')).toMatchObject({ problem: { code: 'access/grant-withdrawn' } })
    // FED-34: the state log tells that it failed, why, and how far it had come; nobody is named for it
    expect(b.ended).toMatchObject([{ action: 'transfer.receive', outcome: 'failed', code: 'access/grant-withdrawn', actor: { kind: 'system', id: C }, object: { id: STUDY, owner: A }, facts: { source: A, destination: C, instancesTotal: 2, attempts: 1 } }])
  })

  it('stops when it is cancelled, leaves nothing half-done, and can be begun again', async () => {
    const b = await openBench(300_000, 300_000)
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => (release = resolve))
    b.lineC.onBytes = async (answer) => {
      if (b.lineC.asked.length > 6) await held
      return answer
    }
    await b.engine.start()
    const transferId = await b.wish()
    await vi.waitFor(() => expect(b.lineC.asked.length).toBeGreaterThan(6), 10_000)
    await b.engine.cancel(transferId, 'asked')
    release()
    expect(await findJob(b.dbC, transferId)).toMatchObject({ state: 'cancelled', problem: { code: 'transfer/cancelled' } })
    // FED-34: whoever pressed stands in the context of the request, so the event itself names nobody else
    expect(b.ended).toMatchObject([{ action: 'transfer.cancel', outcome: 'success', object: { id: STUDY, owner: A }, facts: { transferId } }])
    expect(b.ended[0]).not.toHaveProperty('actor')
    await expect(b.engine.cancel(transferId, 'asked')).rejects.toMatchObject({ code: 'request/conflict' })
    await b.engine.retry(transferId)
    await until(transferId, 'complete')
  })
})

describe('somebody waiting for an instance', () => {
  it('gets it before the rest of the study', async () => {
    // AGT-10
    const b = await openBench(...Array.from({ length: 12 }, () => 40_000))
    b.lineC.onBytes = (answer) => new Promise((resolve) => setTimeout(() => resolve(answer), 15))
    await b.engine.start()
    const transferId = await b.wish({ purpose: 'pull' })
    await b.engine.waitFor(transferId, uid(11))
    expect((await heldAt(b)).length).toBeLessThan(8)
    expect(await b.cache.instance(uid(11))).toBeDefined()
    await until(transferId, 'complete')
    expect(await unannouncedTasks(b.dbC)).toEqual([]) // a pull is nobody's business but ours
  })

  it('is told when the owner cannot be reached, and may stop waiting', async () => {
    const b = await openBench(1_000)
    b.lineC.isCut = true
    await b.engine.start()
    const transferId = await b.wish({ purpose: 'pull' })
    await expect(b.engine.waitFor(transferId, uid(0))).rejects.toMatchObject({ code: 'region/hospital-offline' })
    const gone = new AbortController()
    const waiting = b.engine.waitFor(transferId, uid(0), gone.signal)
    gone.abort(new Error('page closed'))
    await expect(waiting).rejects.toThrow()
  })
})

describe('the owner', () => {
  it('tells a stranger nothing, not even whether the study exists', async () => {
    // AGT-08, FED-24
    const b = await openBench(1_000)
    const ask = (line: DirectLine, grant = b.grant, studyInstanceUid: string = STUDY) =>
      line.request(A, services.transferOpen, { studyInstanceUid, grant, purpose: 'pull' })
    const forged = { ...b.grant, ...signDocument(identityOf(C), b.grant.grant) }
    await expect(ask(b.lineC, forged)).rejects.toMatchObject({ code: 'access/grant-invalid' })
    await expect(
      ask(b.lineC, { ...b.grant, grant: { ...b.grant.grant, grantId: '99999999-2f4b-4a57-9d0c-0d8f5f0a1b11' as GrantId } }),
    ).rejects.toMatchObject({ code: 'access/grant-invalid' })
    await expect(ask(b.lineC, b.grant, '2.25.999')).rejects.toMatchObject({ code: 'access/no-grant' })
    await expect(ask(b.lineC)).resolves.toMatchObject({ totalRows: 1 })
  })

  it('refuses a request that was played again, made up, or belongs to the session of another hospital', async () => {
    const b = await openBench(1_000)
    const frames: Uint8Array[] = []
    const requestBytes = b.lineC.requestBytes.bind(b.lineC)
    b.lineC.requestBytes = (to, service, bytes) => {
      frames.push(Uint8Array.from(bytes))
      return requestBytes(to, service, bytes)
    }
    await b.engine.start()
    await until(await b.wish(), 'complete')
    const frame = frames[0]!
    const REFUSED = 0
    const NO_SESSION = 3
    expect((await requestBytes(A, services.transferPiece, frame))[0]).toBe(REFUSED)
    const madeUp = Uint8Array.from(frame)
    madeUp.set(randomBytes(32), 0)
    expect((await requestBytes(A, services.transferPiece, madeUp))[0]).toBe(REFUSED)
    const [lineA2, lineB] = DirectLine.between(A, B)
    Object.assign(b, { lineA: lineA2 })
    b.newOwner()
    expect((await lineB.requestBytes(A, services.transferPiece, frame))[0]).toBe(NO_SESSION)
    await expect(requestBytes(A, services.transferPiece, randomBytes(100))).rejects.toMatchObject({ code: 'transfer/bad-request' })
  })
})

describe('two tasks that want the same study', () => {
  it('share one transfer and are both announced', async () => {
    const b = await openBench(1_000)
    const other = '7f1d2c1e-2f4b-4a57-9d0c-0d8f5f0a1b11' as typeof TASK
    const first = await b.wish()
    expect(await b.wish({ taskId: other })).toBe(first)
    expect(await jobsOfStudy(b.dbC, STUDY)).toHaveLength(1)
    await b.engine.start()
    await until(first, 'complete')
    expect((await unannouncedTasks(b.dbC)).map(({ taskId }) => taskId).sort()).toEqual([TASK, other].sort())
  })
})
