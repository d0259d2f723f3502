// Sends folders of DICOM files by C-STORE, one association each, without waiting for anything but the answer to each object: a load that costs little itself,
// so that a bench on two cores measures the archive that receives. `ready` is printed when every association stands; the files go after a line on stdin.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { DICOM_APPLICATION_CONTEXT } from '../../node-agent/src/dimse/associate-pdu.ts'
import { commandFields, DATASET_FOLLOWS, encodeCommandSet } from '../../node-agent/src/dimse/command-set.ts'
import { MessageReader } from '../../node-agent/src/dimse/message-reader.ts'
import { encodeDataTransferHeader, encodePdu, PDV_HEADER_BYTES, type Pdu } from '../../node-agent/src/dimse/pdu.ts'
import { PduSplitter } from '../../node-agent/src/dimse/pdu-splitter.ts'
import { readFileMeta } from '../../node-agent/src/dicom/file-meta.ts'

const [port = '', calledAeTitle = '', ...folders] = process.argv.slice(2)
const CONTEXT = 1
const PIECE_BYTES = 4 * 1024 * 1024

class Association {
  readonly #socket: Socket
  readonly #splitter = new PduSplitter({ maxPduBytes: 1 << 20, maxAssociateBytes: 1 << 20 })
  readonly #messages = new MessageReader()
  #arrived: (what: Pdu | { status: number | undefined }) => void = () => undefined
  maxPduBytes = 16_384

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true)
    socket.on('data', (chunk) => this.#take(chunk))
    socket.on('error', (error) => fail(error))
    socket.on('close', () => this.#arrived({ type: 'A-ABORT', source: 0, reason: 0 }))
  }

  static async open(sopClassUid: string, transferSyntaxUid: string, index: number): Promise<Association> {
    const socket = connect(Number(port), '127.0.0.1')
    await once(socket, 'connect')
    const association = new Association(socket)
    const answer = association.#next()
    socket.write(encodePdu({
      type: 'A-ASSOCIATE-RQ', protocolVersion: 1, calledAeTitle, callingAeTitle: `SENDER${index}`, applicationContext: DICOM_APPLICATION_CONTEXT,
      contexts: [{ id: CONTEXT, abstractSyntaxUid: sopClassUid, transferSyntaxUids: [transferSyntaxUid] }],
      user: { maxLengthBytes: 131_072, implementationClassUid: '2.25.302', implementationVersionName: 'LIGHT_SENDER', roles: [], extendedNegotiation: [] },
    })) // prettier-ignore
    const accept = await answer
    if (!('type' in accept) || accept.type !== 'A-ASSOCIATE-AC' || accept.contexts[0]?.result !== 0) fail(new Error(`not accepted: ${JSON.stringify(accept)}`))
    association.maxPduBytes = (accept as { user: { maxLengthBytes: number } }).user.maxLengthBytes || 131_072
    return association
  }

  #take(chunk: Buffer): void {
    this.#splitter.feed(chunk)
    for (let arrival = this.#splitter.next(); arrival !== undefined; arrival = this.#splitter.next()) {
      if (arrival.kind === 'pdu') this.#arrived(arrival.pdu)
      else {
        const part = this.#messages.take(arrival)
        if (part?.kind === 'command') this.#arrived({ status: part.command.status })
      }
    }
  }

  #next(): Promise<Pdu | { status: number | undefined }> {
    return new Promise((resolve) => (this.#arrived = resolve))
  }

  async send(file: string, messageId: number): Promise<void> {
    const handle = await open(file)
    const { size } = await handle.stat()
    const head = Buffer.alloc(Math.min(size, 64 * 1024))
    await handle.read(head, 0, head.length, 0)
    const meta = readFileMeta(head, true)
    if (!meta) throw new Error(`${file}: no meta header`)
    const command = encodeCommandSet({
      commandField: commandFields.cStore, messageId, priority: 0, commandDataSetType: DATASET_FOLLOWS,
      affectedSopClassUid: uidOf(head, 0x0002), affectedSopInstanceUid: uidOf(head, 0x0003),
    }) // prettier-ignore
    this.#fragment(command, true, true)
    const answer = this.#next()
    for (let at = meta.datasetOffset; at < size; ) {
      const piece = Buffer.allocUnsafe(Math.min(PIECE_BYTES - (PIECE_BYTES % this.#dataBytes), size - at))
      await handle.read(piece, 0, piece.length, at)
      at += piece.length
      this.#socket.cork()
      let roomLeft = true
      for (let from = 0; from < piece.length; from += this.#dataBytes) {
        const data = piece.subarray(from, from + this.#dataBytes)
        roomLeft = this.#fragment(data, false, at === size && from + data.length === piece.length)
      }
      this.#socket.uncork()
      if (!roomLeft) await once(this.#socket, 'drain')
    }
    await handle.close()
    const said = await answer
    if (!('status' in said) || said.status !== 0) fail(new Error(`${file}: ${JSON.stringify(said)}`))
  }

  get #dataBytes(): number {
    return Math.min(this.maxPduBytes, 131_072) - PDV_HEADER_BYTES
  }

  #fragment(data: Buffer, isCommand: boolean, last: boolean): boolean {
    this.#socket.write(encodeDataTransferHeader({ contextId: CONTEXT, isCommand, last }, data.length))
    return this.#socket.write(data)
  }

  async release(): Promise<void> {
    const answer = this.#next()
    this.#socket.write(encodePdu({ type: 'A-RELEASE-RQ' }))
    await answer
    this.#socket.destroy()
  }
}

/** Of the file meta information, explicit VR: (0002,`element`). */
function uidOf(head: Buffer, element: number): string {
  const at = head.indexOf(Buffer.from([0x02, 0x00, element, 0x00, 0x55, 0x49]))
  return head.toString('latin1', at + 8, at + 8 + head.readUInt16LE(at + 6)).replace(/\0+$/, '')
}

function fail(error: Error): never {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}

const groups = folders.map((folder) => readdirSync(folder).sort().map((name) => join(folder, name)))
const associations = await Promise.all(
  groups.map(async ([first], index) => {
    const head = Buffer.alloc(4_096)
    const handle = await open(first ?? '')
    await handle.read(head, 0, head.length, 0)
    await handle.close()
    // (0002,0002) stands before what a proposal needs: class and syntax of the first file, which all of a folder share.
    return Association.open(uidOf(head, 0x0002), uidOf(head, 0x0010), index)
  }),
)
process.stdout.write('ready\n')
await once(process.stdin, 'data')
await Promise.all(
  groups.map(async (files, index) => {
    for (const [number, file] of files.entries()) await associations[index]!.send(file, (number % 65_000) + 1)
    await associations[index]!.release()
  }),
)
process.exit(0)
