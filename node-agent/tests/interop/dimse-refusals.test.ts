import { Buffer } from 'node:buffer'
import { readdir } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildDataset } from '../../src/dicom/dataset.builder.ts'
import { EXPLICIT_LE, IMPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { type AssociateRequest, type ProposedContext } from '../../src/dimse/associate-pdu.ts'
import {
  type CommandSet,
  commandFields,
  DATASET_FOLLOWS,
  decodeCommandSet,
  encodeCommandSet,
  NO_DATASET,
} from '../../src/dimse/command-set.ts'
import { decodePdu, encodePdu, type Pdu } from '../../src/dimse/pdu.ts'
import { echo } from '../../src/dimse/scu.ts'
import { type StorageSink } from '../../src/dimse/server.ts'
import { STUDY_ROOT_FIND, VERIFICATION } from '../../src/dimse/sop-classes.ts'
import { datasetOf, fixture, type Receiver, run, startReceiver, until } from './dimse-support.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'
const contexts: ProposedContext[] = [
  { id: 1, abstractSyntaxUid: VERIFICATION, transferSyntaxUids: [IMPLICIT_LE] },
  { id: 3, abstractSyntaxUid: CT, transferSyntaxUids: [EXPLICIT_LE] },
  { id: 5, abstractSyntaxUid: STUDY_ROOT_FIND, transferSyntaxUids: [IMPLICIT_LE] },
]

function aRequest(changes: Partial<AssociateRequest> = {}): AssociateRequest {
  const user = { maxLengthBytes: 16_384, roles: [], extendedNegotiation: [] }
  return {
    type: 'A-ASSOCIATE-RQ',
    protocolVersion: 1,
    calledAeTitle: 'LIANPIAN',
    callingAeTitle: 'ROGUE',
    applicationContext: '1.2.840.10008.3.1.1.1',
    contexts,
    user,
    ...changes,
  }
}

/** A peer that keeps to no rule: writes what the test says and notes the PDUs that come back. */
class Rogue {
  readonly socket: Socket
  readonly pdus: Pdu[] = []
  closed = false
  #received = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
    socket.on('error', () => (this.closed = true)) // a reset is one way to be refused
    socket.on('close', () => (this.closed = true))
  }

  static async connect(port: number): Promise<Rogue> {
    const socket = connect(port, '127.0.0.1')
    const rogue = new Rogue(socket)
    await new Promise((resolve) => socket.once('connect', resolve))
    return rogue
  }

  static async associate(port: number, request = aRequest()): Promise<Rogue> {
    const rogue = await Rogue.connect(port)
    rogue.send(request)
    await until('an answer to the association request', () => rogue.pdus.length > 0)
    return rogue
  }

  send(...pdus: Pdu[]): void {
    for (const pdu of pdus) this.socket.write(encodePdu(pdu))
  }

  command(contextId: number, command: CommandSet): void {
    this.send({ type: 'P-DATA-TF', values: [{ contextId, isCommand: true, last: true, data: encodeCommandSet(command) }] })
  }

  dataset(contextId: number, data: Buffer, last = true): void {
    this.send({ type: 'P-DATA-TF', values: [{ contextId, isCommand: false, last, data }] })
  }

  /** The next command set that comes back. */
  async response(): Promise<CommandSet> {
    const seen = this.pdus.length
    await until('a response', () => this.pdus.length > seen || this.closed)
    const pdu = this.pdus[seen]
    if (pdu?.type !== 'P-DATA-TF' || !pdu.values[0]) throw new Error(`not a response: ${pdu?.type}`)
    return decodeCommandSet(pdu.values[0].data)
  }

  async end(): Promise<Pdu | undefined> {
    await until('the connection is closed', () => this.closed)
    return this.pdus.at(-1)
  }

  #read(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk])
    while (this.#received.length >= 6 && this.#received.length >= 6 + this.#received.readUInt32BE(2)) {
      const lengthBytes = 6 + this.#received.readUInt32BE(2)
      this.pdus.push(decodePdu(this.#received.subarray(0, lengthBytes)))
      this.#received = this.#received.subarray(lengthBytes)
    }
  }
}

const store = (changes: Partial<CommandSet> = {}): CommandSet => ({
  commandField: commandFields.cStore,
  messageId: 7,
  affectedSopClassUid: CT,
  affectedSopInstanceUid: '2.25.301',
  priority: 0,
  commandDataSetType: DATASET_FOLLOWS,
  ...changes,
})

describe('a peer that does not keep to the rules', () => {
  let receiver: Receiver
  const rogues: Rogue[] = []
  const connecting = async () => rogues[rogues.push(await Rogue.connect(receiver.port)) - 1] as Rogue
  const associating = async (request?: AssociateRequest) => rogues[rogues.push(await Rogue.associate(receiver.port, request)) - 1] as Rogue
  const faults = () =>
    receiver.refusals.map(
      ({ problem }) =>
        problem.facts['fault'] ?? problem.facts['waitingFor'] ?? problem.facts['answer'] ?? problem.facts['reason'] ?? problem.code,
    )

  beforeAll(async () => {
    receiver = await startReceiver({ limits: { artimMs: 400, idleMs: 700, stallMs: 300, maxAssociations: 4, maxPduBytes: 16_384 } })
  })
  afterEach(async () => {
    for (const rogue of rogues.splice(0)) rogue.socket.destroy()
    await until('every association has ended', () => receiver.server.openAssociations === 0)
    receiver.refusals.length = 0
    // Whatever happened, the next caller is served.
    expect(await echo({ aeTitle: 'LIANPIAN', host: '127.0.0.1', port: receiver.port }, { callingAeTitle: 'NEXT' })).toMatchObject({
      ok: true,
    })
  })
  afterAll(async () => {
    expect((await run('echoscu', ['127.0.0.1', String(receiver.port)])).code).toBe(0)
    expect(receiver.archive.archive.totals().instances).toBe(0)
    expect((await receiver.archive.archive.verify()).orphans).toEqual([])
    await receiver.stop()
  })

  it.each([
    ['speaks HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['sends noise', Buffer.from('ff00ff00ff00ff00', 'hex')],
    ['sends a PDU of an unknown type', Buffer.from('0900000000040000', 'hex')],
    ['claims four gigabytes for its request', Buffer.from('0100fffffff00001', 'hex')],
    ['claims four gigabytes for its data', Buffer.from('0400fffffff0', 'hex')],
    [
      'sends data before it is associated',
      encodePdu({ type: 'P-DATA-TF', values: [{ contextId: 1, isCommand: true, last: true, data: Buffer.alloc(4) }] }),
    ],
    ['releases before it is associated', encodePdu({ type: 'A-RELEASE-RQ' })],
    [
      'sends a request whose items do not fit',
      Buffer.concat([encodePdu(aRequest()).subarray(0, 90), Buffer.alloc(encodePdu(aRequest()).length - 90, 0xff)]),
    ],
  ])('that %s is aborted', async (_, bytes) => {
    // ARC-06
    const rogue = await connecting()
    rogue.socket.write(bytes)
    expect(await rogue.end()).toMatchObject({ type: 'A-ABORT' })
    expect(faults()).not.toEqual([])
  })

  it('that sends its request byte by byte is cut off when its time is over', async () => {
    const rogue = await connecting()
    const request = encodePdu(aRequest())
    let sent = 0
    const drip = setInterval(() => rogue.socket.write(request.subarray(sent, ++sent)), 20)
    await rogue.end().finally(() => clearInterval(drip))
    expect(sent).toBeLessThan(request.length)
    expect(faults()).toEqual(['A-ASSOCIATE-RQ'])
  })

  it('that connects and says nothing is cut off', async () => {
    const rogue = await connecting()
    await rogue.end()
    expect(faults()).toEqual(['A-ASSOCIATE-RQ'])
  })

  it('that announces a maximum PDU of six bytes is rejected', async () => {
    const rogue = await associating(aRequest({ user: { maxLengthBytes: 6, roles: [], extendedNegotiation: [] } }))
    expect(await rogue.end()).toEqual({ type: 'A-ASSOCIATE-RJ', result: 1, source: 1, reason: 1 })
    expect(faults()).toEqual(['maximum PDU length too small'])
  })

  it('that sends longer PDUs than we announced is aborted', async () => {
    const rogue = await associating()
    rogue.command(3, store())
    rogue.dataset(3, Buffer.alloc(20_000))
    expect(await rogue.end()).toEqual({ type: 'A-ABORT', source: 2, reason: 6 })
  })

  it('that uses a presentation context which was not accepted is aborted', async () => {
    const rogue = await associating()
    rogue.command(9, store())
    expect(await rogue.end()).toEqual({ type: 'A-ABORT', source: 2, reason: 6 })
    expect(faults()).toEqual(['presentation context not accepted'])
  })

  it('that asks for a second association inside the first is aborted', async () => {
    const rogue = await associating()
    rogue.send(aRequest())
    expect(await rogue.end()).toEqual({ type: 'A-ABORT', source: 2, reason: 2 })
  })

  it('that answers what was not asked is aborted', async () => {
    const rogue = await associating()
    rogue.command(1, { commandField: 0x8030, messageIdBeingRespondedTo: 1, commandDataSetType: NO_DATASET, status: 0 })
    expect(await rogue.end()).toMatchObject({ type: 'A-ABORT' })
  })

  it('that goes while its first object is being committed begins no second one, which nobody would end', async () => {
    // ARC-06. Found by `npm run fuzz -- dimse`: the second object's file stayed open for ever.
    let begun = 0
    let finishFirst = () => undefined as void
    const storage: StorageSink = {
      begin: async () => {
        begun += 1
        return { write: async () => undefined, commit: () => new Promise<void>((resolve) => (finishFirst = resolve)), abort: async () => undefined }
      },
    }
    const slow = await startReceiver({ storage })
    try {
      const rogue = await Rogue.associate(slow.port)
      rogue.command(3, store())
      rogue.dataset(3, Buffer.alloc(8))
      rogue.command(3, store({ messageId: 8, affectedSopInstanceUid: '2.25.302' }))
      await until('the first is being committed', () => begun === 1)
      await delay(30)
      rogue.socket.destroy()
      await until('the association has ended', () => slow.server.openAssociations === 0)
      finishFirst()
      await delay(30)
      expect(begun).toBe(1)
    } finally {
      await slow.stop()
    }
  })

  it('whose data set breaks off leaves nothing behind', async () => {
    const rogue = await associating()
    rogue.command(3, store())
    rogue.dataset(3, buildDataset(aSlice()).subarray(0, 100), false)
    await delay(50)
    rogue.socket.destroy()
    await until('the refusal is told', () => receiver.refusals.length > 0)
    expect(receiver.refusals[0]).toMatchObject({
      callingAeTitle: 'ROGUE',
      problem: { code: 'archive/unreadable', facts: { sopInstanceUid: '2.25.301' } },
    })
    await until('the temporary file is gone', async () => (await filesBelow(receiver.archive.root)).length === 0)
  })

  it('that aborts inside its data set leaves nothing behind', async () => {
    const rogue = await associating()
    rogue.command(3, store())
    rogue.dataset(3, buildDataset(aSlice()).subarray(0, 100), false)
    rogue.send({ type: 'A-ABORT', source: 0, reason: 0 })
    await rogue.end()
    await until('the temporary file is gone', async () => (await filesBelow(receiver.archive.root)).length === 0)
  })

  it('that stalls inside its data set, sending a byte now and then, is aborted', async () => {
    const rogue = await associating()
    rogue.command(3, store())
    const drip = setInterval(() => rogue.dataset(3, Buffer.alloc(2), false), 50)
    expect(await rogue.end().finally(() => clearInterval(drip))).toEqual({ type: 'A-ABORT', source: 0, reason: 0 })
    expect(faults()).toContain('rest of the message')
  })

  it('that never releases is aborted after the idle time', async () => {
    const rogue = await associating()
    expect(await rogue.end()).toMatchObject({ type: 'A-ABORT' })
    expect(faults()).toEqual(['next message'])
  })

  it('that comes as one association too many is rejected as transient', async () => {
    for (let n = 0; n < 4; n++) await associating()
    const fifth = await associating()
    expect(await fifth.end()).toEqual({ type: 'A-ASSOCIATE-RJ', result: 2, source: 3, reason: 2 })
  })

  it.each([
    ['a path', { affectedSopInstanceUid: '../../../etc/passwd' }, 0xc000],
    ['nothing', { affectedSopInstanceUid: '' }, 0xc000],
    ['another instance than the data set', { affectedSopInstanceUid: '2.25.302' }, 0xa900],
    ['another class than the data set', { affectedSopClassUid: '1.2.840.10008.5.1.4.1.1.4' }, 0xa900],
  ])('that stores an object and names %s hears why not, and may go on', async (_, changes, status) => {
    const rogue = await associating()
    rogue.command(3, store(changes))
    rogue.dataset(3, buildDataset(aSlice()))
    expect(await rogue.response()).toMatchObject({ commandField: 0x8001, messageIdBeingRespondedTo: 7, status })
    rogue.command(1, { commandField: commandFields.cEcho, messageId: 8, commandDataSetType: NO_DATASET })
    expect(await rogue.response()).toMatchObject({ commandField: 0x8030, status: 0 })
    rogue.send({ type: 'A-RELEASE-RQ' })
    expect(await rogue.end()).toEqual({ type: 'A-RELEASE-RP' })
  })

  it('that stores in a context of another service hears that the class is not supported', async () => {
    const rogue = await associating()
    rogue.command(1, store())
    rogue.dataset(1, buildDataset(aSlice()))
    expect(await rogue.response()).toMatchObject({ status: 0x0122 })
  })

  it.each([
    ['C-MOVE', commandFields.cMove],
    ['C-GET', commandFields.cGet],
    ['N-ACTION', 0x0130],
    ['nonsense', 0x1234],
  ])('that asks for %s hears that the operation is not recognised', async (_, commandField) => {
    const rogue = await associating()
    rogue.command(5, { commandField, messageId: 9, commandDataSetType: DATASET_FOLLOWS })
    rogue.dataset(5, Buffer.alloc(5_000), false)
    rogue.dataset(5, Buffer.alloc(5_000))
    expect(await rogue.response()).toMatchObject({ commandField: commandField | 0x8000, messageIdBeingRespondedTo: 9, status: 0x0211 })
  })

  it('that finds in a context of another service, or without an identifier, hears so', async () => {
    const rogue = await associating()
    const find = { commandField: commandFields.cFind, messageId: 3, commandDataSetType: DATASET_FOLLOWS }
    rogue.command(1, find)
    rogue.dataset(1, Buffer.alloc(8))
    expect(await rogue.response()).toMatchObject({ status: 0x0122 })
    rogue.command(5, { ...find, commandDataSetType: NO_DATASET })
    expect(await rogue.response()).toMatchObject({ status: 0xa900 })
    rogue.command(5, find)
    rogue.dataset(5, Buffer.from('ffffffffffffffff', 'hex'))
    expect(await rogue.response()).toMatchObject({ status: 0xc000 })
  })

  it('that sends many requests at once gets them answered in order', async () => {
    const rogue = await associating()
    for (let messageId = 1; messageId <= 50; messageId++)
      rogue.command(1, { commandField: commandFields.cEcho, messageId, commandDataSetType: NO_DATASET })
    await until('fifty answers', () => rogue.pdus.length === 51)
    const answered = rogue.pdus
      .slice(1)
      .map((pdu) =>
        pdu.type === 'P-DATA-TF' && pdu.values[0] ? decodeCommandSet(pdu.values[0].data).messageIdBeingRespondedTo : undefined,
      )
    expect(answered).toEqual(Array.from({ length: 50 }, (_, index) => index + 1))
  })
})

describe('a peer that sends any bytes', () => {
  it('is answered or aborted, and what is kept is whole', async () => {
    const receiver = await startReceiver()
    const valid = Buffer.concat([
      encodePdu({ type: 'P-DATA-TF', values: [{ contextId: 3, isCommand: true, last: true, data: encodeCommandSet(store()) }] }),
      encodePdu({ type: 'P-DATA-TF', values: [{ contextId: 3, isCommand: false, last: true, data: buildDataset(aSlice()) }] }),
      encodePdu({ type: 'A-RELEASE-RQ' }),
    ])
    const change = fc.record({ at: fc.nat(valid.length - 1), value: fc.nat(255) })
    const samples = fc.sample(fc.array(change, { minLength: 1, maxLength: 6 }), { numRuns: 150, seed: 20_261_120 })
    try {
      for (const changes of samples) {
        const bytes = Buffer.from(valid)
        for (const { at, value } of changes) bytes.writeUInt8(value, at)
        const rogue = await Rogue.associate(receiver.port)
        rogue.socket.end(bytes)
        await rogue.end()
      }
      await until('every association has ended', () => receiver.server.openAssociations === 0)
      expect(await echo({ aeTitle: 'LIANPIAN', host: '127.0.0.1', port: receiver.port }, { callingAeTitle: 'NEXT' })).toMatchObject({
        ok: true,
      })
      await receiver.server.close() // waits for what is being committed
      expect(await receiver.archive.archive.verify({ digests: true })).toMatchObject({
        missing: [],
        wrongSize: [],
        wrongDigest: [],
        orphans: [],
      })
    } finally {
      await receiver.stop()
    }
  })
})

describe('a full disk', () => {
  it('is told to the sender as out of resources, and nothing is half stored', async () => {
    // ARC-02
    const receiver = await startReceiver({ archive: { minFreeBytes: Number.MAX_SAFE_INTEGER } })
    try {
      const { output } = await run('storescu', ['-v', '-R', '127.0.0.1', String(receiver.port), fixture('ct-head-tiny', 'CTHead1.dcm')])
      expect(output).toContain('Refused: OutOfResources')
      expect(receiver.refusals).toMatchObject([{ problem: { code: 'archive/out-of-space', facts: { status: 'a700' } } }])
      expect(await filesBelow(receiver.archive.root)).toEqual([])
    } finally {
      await receiver.stop()
    }
  })
})

describe('hostile files', () => {
  it('go through the receiver: each is stored or refused with a status, in bounded memory', async () => {
    // ARC-06
    const receiver = await startReceiver()
    const files = await readdir(fixture('hostile'), { recursive: true, withFileTypes: true })
    const before = process.memoryUsage().rss
    const answers: number[] = []
    try {
      for (const file of files.filter((each) => each.isFile())) {
        const { bytes, transferSyntaxUid } = await datasetOf(path.join(file.parentPath, file.name)).catch(async () => ({
          bytes: Buffer.from('not dicom'),
          transferSyntaxUid: EXPLICIT_LE,
        }))
        const syntax = /^[0-9.]{1,64}$/.test(transferSyntaxUid) ? transferSyntaxUid : EXPLICIT_LE
        const rogue = await Rogue.associate(
          receiver.port,
          aRequest({ contexts: [{ id: 1, abstractSyntaxUid: CT, transferSyntaxUids: [syntax, EXPLICIT_LE] }] }),
        )
        rogue.command(1, store({ affectedSopInstanceUid: '2.25.301' }))
        for (let at = 0; at < bytes.length; at += 16_000) rogue.dataset(1, bytes.subarray(at, at + 16_000), at + 16_000 >= bytes.length)
        if (bytes.length === 0) rogue.dataset(1, bytes)
        answers.push((await rogue.response()).status ?? -1)
        rogue.send({ type: 'A-RELEASE-RQ' })
        await rogue.end()
      }
      expect(answers.length).toBeGreaterThan(100)
      expect(answers.filter((status) => ![0x0000, 0xa900, 0xc000].includes(status))).toEqual([])
      expect(process.memoryUsage().rss - before).toBeLessThan(400 * 1024 * 1024)
      expect((await receiver.archive.archive.verify()).orphans).toEqual([])
      expect((await run('echoscu', ['127.0.0.1', String(receiver.port)])).code).toBe(0)
    } finally {
      await receiver.stop()
    }
  })
})

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name))
}
