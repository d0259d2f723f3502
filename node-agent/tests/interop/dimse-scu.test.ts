import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog, type Database, openDatabase } from 'service-kit'
import { DicomNode, type ForwardRow } from 'specs'
import { type z } from 'zod'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { aSlice, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { EXPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { encodePdu } from '../../src/dimse/pdu.ts'
import { echo, type InstanceToSend, sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { Forwarder } from '../../src/routing/forwarder.ts'
import { listForwards } from '../../src/routing/forward-store.ts'
import { addNode, dicomNodeMigrations } from '../../src/dicom-node/store.ts'
import { routingMigrations } from '../../src/routing/tables.ts'
import { readManifest } from '../../../scripts/fixtures.mjs'
import { datasetOf, fixture, freePort, startPeer, startReceiver, until } from './dimse-support.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const us = { callingAeTitle: 'LIANPIAN' }
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-scu-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** storescp of DCMTK, which keeps what it gets in `folder/received`. */
async function storescp(port: number, ...options: string[]) {
  await mkdir(path.join(folder, 'received'), { recursive: true })
  return startPeer('storescp', ['-od', path.join(folder, 'received'), '-uf', ...options, String(port)], port)
}
const received = () => readdir(path.join(folder, 'received'))
const headFiles = (count: number): InstanceToSend[] =>
  readManifest()
    .filter((row) => row['path']?.startsWith('ct-head-tiny/'))
    .slice(0, count)
    .map((row) =>
      instanceOfFile(fixture('ct-head-tiny', path.basename(row['path'] ?? '')), {
        sopClassUid: CT,
        sopInstanceUid: row['sop_instance_uid'] ?? '',
        transferSyntaxUid: row['transfer_syntax_uid'] ?? '',
      }),
    )

describe('echoing a DICOM node', () => {
  // FED-15
  it('shows that storescp of DCMTK answers, and how quickly', async () => {
    const port = await freePort()
    const peer = await storescp(port)
    try {
      const result = await echo({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, us)
      expect(result.ok).toBe(true)
      expect(result.milliseconds).toBeGreaterThan(0)
    } finally {
      await peer.stop()
    }
  })

  it('shows that nobody listens there', async () => {
    expect(await echo({ aeTitle: 'GONE', host: '127.0.0.1', port: await freePort() }, us)).toMatchObject({
      ok: false,
      code: 'dimse/unreachable',
      title: '无法连接 DICOM 节点',
    })
  })

  it('shows that the node rejects us', async () => {
    const port = await freePort()
    const peer = await storescp(port, '--refuse')
    try {
      expect(await echo({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, us)).toMatchObject({ ok: false, code: 'dimse/rejected' })
    } finally {
      await peer.stop()
    }
  })

  describe('that is no DICOM node', () => {
    let server: Server
    let port: number
    let answer: (socket: Socket) => void
    const sockets = new Set<Socket>()
    beforeAll(async () => {
      server = createServer((socket) => {
        sockets.add(socket.on('error', () => sockets.delete(socket)))
        answer(socket)
      })
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      port = typeof address === 'object' && address ? address.port : 0
    })
    afterAll(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })

    it.each([
      ['says nothing', () => undefined, 'dimse/timeout'],
      ['speaks HTTP', (socket: Socket) => void socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'), 'dimse/protocol'],
      ['closes the connection', (socket: Socket) => void socket.destroy(), 'dimse/unreachable'],
      ['aborts', (socket: Socket) => void socket.write(encodePdu({ type: 'A-ABORT', source: 2, reason: 1 })), 'dimse/aborted'],
    ])('but %s: the result says so', async (_, behaviour, code) => {
      answer = behaviour
      expect(await echo({ aeTitle: 'ODD', host: '127.0.0.1', port }, { ...us, associateMs: 300 })).toMatchObject({ ok: false, code })
    })
  })
})

describe('sending to storescp of DCMTK', () => {
  // FED-15
  it('delivers a series over two associations, unchanged, and tells the progress', async () => {
    const port = await freePort()
    const peer = await storescp(port)
    const progress: number[] = []
    try {
      const deliveries = await sendInstances({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, headFiles(12), {
        ...us,
        associations: 2,
        onDelivery: (_, { delivered }) => progress.push(delivered),
      })
      expect(deliveries.every((delivery) => delivery.kind === 'stored')).toBe(true)
      expect(progress).toEqual(Array.from({ length: 12 }, (_, index) => index + 1))
      expect(await received()).toHaveLength(12)
    } finally {
      await peer.stop()
    }
  })

  it('says honestly that a peer does not take the stored syntax, and delivers the rest', async () => {
    const port = await freePort()
    const peer = await storescp(port, '+x=')
    const compressed = instanceOfFile(fixture('syntaxes', 'CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm'), {
      sopClassUid: CT,
      sopInstanceUid: '1.2.840.113619.2.30.1.1762295590.1623.978668950.109',
      transferSyntaxUid: '1.2.840.10008.1.2.4.70',
    })
    try {
      const deliveries = await sendInstances({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, [compressed, ...headFiles(1)], us)
      expect(deliveries).toMatchObject([
        {
          kind: 'failed',
          again: 'permanent',
          problem: { code: 'dimse/not-accepted', facts: { result: 'transfer syntaxes not supported' } },
        },
        { kind: 'stored' },
      ])
    } finally {
      await peer.stop()
    }
  })

  it('tells that a stored file cannot be read, without harm to the others', async () => {
    const port = await freePort()
    const peer = await storescp(port)
    try {
      const missing = instanceOfFile(path.join(folder, 'missing.dcm'), {
        sopClassUid: CT,
        sopInstanceUid: '1.2.3',
        transferSyntaxUid: EXPLICIT_LE,
      })
      const deliveries = await sendInstances({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, [missing, ...headFiles(2)], us)
      expect(deliveries.map(({ kind }) => kind)).toEqual(['failed', 'stored', 'stored'])
    } finally {
      await peer.stop()
    }
  })

  it('leaves what a broken association did not deliver as failures that may be tried again', async () => {
    const port = await freePort()
    const peer = await storescp(port, '--abort-after')
    try {
      const deliveries = await sendInstances({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, headFiles(4), us)
      expect(deliveries).toHaveLength(4)
      expect(deliveries.filter((delivery) => delivery.kind === 'failed' && delivery.again === 'transient').length).toBeGreaterThanOrEqual(3)
    } finally {
      await peer.stop()
    }
  })

  it('delivers a large object in PDUs of the size that the peer takes', async () => {
    const port = await freePort()
    const peer = await storescp(port, '-pdu', '4096')
    try {
      const file = path.join(folder, 'large.dcm')
      await writeFile(file, buildFile(aSlice({ Rows: 1024, Columns: 1024, PixelData: new Uint8Array(2 * 1024 * 1024).fill(5) })))
      expect(
        await sendInstances(
          { aeTitle: 'STORESCP', host: '127.0.0.1', port },
          [instanceOfFile(file, { sopClassUid: CT, sopInstanceUid: '2.25.301', transferSyntaxUid: EXPLICIT_LE })],
          us,
        ),
      ).toEqual([{ kind: 'stored', sopInstanceUid: '2.25.301' }])
      const [name = ''] = await received()
      const [sent, arrived] = await Promise.all([datasetOf(file), datasetOf(path.join(folder, 'received', name))])
      expect(arrived.bytes.equals(sent.bytes)).toBe(true)
    } finally {
      await peer.stop()
    }
  })

  it('stops when it is told to', async () => {
    const receiver = await startReceiver()
    try {
      const stop = new AbortController()
      const deliveries = await sendInstances({ aeTitle: 'LIANPIAN', host: '127.0.0.1', port: receiver.port }, headFiles(20), {
        ...us,
        signal: stop.signal,
        onDelivery: (_, { delivered }) => delivered === 5 && stop.abort(),
      })
      expect(deliveries).toHaveLength(20)
      expect(deliveries.filter(({ kind }) => kind === 'stored').length).toBeLessThan(10)
      expect(deliveries.at(-1)).toMatchObject({ kind: 'failed', again: 'transient', problem: { code: 'dimse/cancelled' } })
    } finally {
      await receiver.stop()
    }
  })
})

describe('forwarding pushed studies', () => {
  // FED-15
  const STUDY = '2.25.1'
  const COUNT = 25
  let archive: TestArchive
  let db: Database
  let running: Forwarder[]
  let shown: ForwardRow[]

  beforeEach(async () => {
    archive = await testArchive({ name: 'regional' })
    for (let n = 1; n <= COUNT; n++) {
      const incoming = await archive.archive.receive({ kind: 'transfer', peer: 'hospital-a' }, { part10: true })
      await incoming.write(buildFile(aSlice({ SOPInstanceUID: `2.25.${700 + n}`, InstanceNumber: String(n) })))
      await incoming.commit()
    }
    db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
    await db.migrate('dicom-node', dicomNodeMigrations)
    await db.migrate('routing', routingMigrations)
    running = []
    shown = []
  })
  afterEach(async () => {
    for (const forwarder of running) await forwarder.stop()
    await db.close()
    await archive.close()
  })

  async function startForwarder(): Promise<Forwarder> {
    const forwarder = new Forwarder({
      db,
      archiveOf: () => archive.archive,
      callingAeTitle: 'LIANPIAN',
      log: createLog({ name: 'test', level: 'silent' }),
      retryWaitMs: 100,
      maxRetryWaitMs: 1_000, // a peer that takes seconds to start is not waited for twice as long again
      onChange: (row) => shown.push(row),
    })
    running.push(forwarder)
    await forwarder.start()
    return forwarder
  }
  const register = (port: number, changes: Partial<z.input<typeof DicomNode>> = {}) =>
    db.write((tx) => addNode(tx, DicomNode.parse({ aeTitle: 'STORESCP', host: '127.0.0.1', port, forwardPushed: true, ...changes }), 1))
  const arrive = (forwarder: Forwarder) => db.write((tx) => forwarder.studyArrived(tx, STUDY))
  const row = async () => (await listForwards(db, { limit: 10 })).rows[0]

  it('brings a study to the nodes that want it, and to no other', async () => {
    const port = await freePort()
    const peer = await storescp(port)
    try {
      await register(port)
      await register(await freePort(), { aeTitle: 'OTHER', forwardPushed: false })
      await arrive(await startForwarder())
      await until('the study is forwarded', async () => (await row())?.state === 'done')
      expect(await received()).toHaveLength(COUNT)
      expect(await row()).toMatchObject({ aeTitle: 'STORESCP', instancesDone: COUNT, instancesTotal: COUNT, attempts: 1, problem: null })
      expect((await listForwards(db, { limit: 10 })).total).toBe(1)
      expect(shown.map(({ state }) => state)).toEqual(expect.arrayContaining(['running', 'done']))
      // Once more is no more.
      await rm(path.join(folder, 'received'), { recursive: true })
      await mkdir(path.join(folder, 'received'))
      await arrive(running[0] as Forwarder)
      await until('the study is forwarded again', async () => (await row())?.state === 'done')
      expect(await received()).toEqual([])
    } finally {
      await peer.stop()
    }
  })

  it('waits for a node that is away, shows why, and delivers when it is back', async () => {
    const port = await freePort()
    await register(port)
    await arrive(await startForwarder())
    await until('a failed attempt is shown', async () => (await row())?.state === 'retrying')
    expect(await row()).toMatchObject({ problem: { code: 'dimse/unreachable', title: '无法连接 DICOM 节点' } })
    const peer = await storescp(port)
    try {
      await until('the study is forwarded', async () => (await row())?.state === 'done')
      expect(await received()).toHaveLength(COUNT)
      expect((await row())?.attempts).toBeGreaterThan(1)
    } finally {
      await peer.stop()
    }
  })

  it('goes on after a restart where it stopped', async () => {
    const port = await freePort()
    const peer = await storescp(port)
    try {
      await register(port)
      const first = await startForwarder()
      await arrive(first)
      await until('something is written down', () => shown.some(({ instancesDone }) => instancesDone > 0))
      await first.stop()
      const interrupted = await row()
      expect(interrupted).toMatchObject({ state: interrupted?.instancesDone === COUNT ? 'done' : 'waiting' })
      await startForwarder()
      await until('the study is forwarded', async () => (await row())?.state === 'done')
      expect(await received()).toHaveLength(COUNT)
    } finally {
      await peer.stop()
    }
  })

  it('takes up what a crash left running', async () => {
    const port = await freePort()
    const peer = await storescp(port)
    try {
      const { id } = await register(port)
      await db.run(
        `INSERT INTO dicom_forward (study_instance_uid, node_id, state, attempts, next_attempt_at, instances_total, instances_done, problem, created_at, updated_at) VALUES ($1, $2, 'running', 3, NULL, $3, 0, NULL, 1, 1)`,
        [STUDY, id, COUNT],
      )
      for (let n = 1; n < COUNT; n++) {
        const stored = await archive.archive.instance(`2.25.${700 + n}`)
        await db.run('INSERT INTO dicom_forward_done (study_instance_uid, node_id, sop_instance_uid, sm3) VALUES ($1, $2, $3, $4)', [
          STUDY,
          id,
          `2.25.${700 + n}`,
          stored?.sm3 ?? '',
        ])
      }
      await startForwarder()
      await until('the study is forwarded', async () => (await row())?.state === 'done')
      expect(await received()).toHaveLength(1)
    } finally {
      await peer.stop()
    }
  })

  it('waits for a person when the node does not take the images, and tries again when told', async () => {
    const port = await freePort()
    let peer = await storescp(port, '+xi') // implicit VR only; ours are explicit
    const forwarder = await startForwarder()
    try {
      await register(port)
      await arrive(forwarder)
      await until('the refusal is shown', async () => (await row())?.state === 'failed')
      expect(await row()).toMatchObject({ problem: { code: 'dimse/not-accepted' }, instancesDone: 0 })
      await peer.stop()
      peer = await storescp(port)
      await forwarder.retry((await row())?.id ?? '')
      await until('the study is forwarded', async () => (await row())?.state === 'done')
    } finally {
      await peer.stop()
    }
  })
})
