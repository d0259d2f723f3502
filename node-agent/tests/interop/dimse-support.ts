import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer, connect, type AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createLog, createMetrics, type Metrics } from 'service-kit'
import { parseAeTitle } from 'specs'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { type ArchiveOptions } from '../../src/archive/archive.ts'
import { testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { readFileMeta } from '../../src/dicom/file-meta.ts'
import { archiveQuery } from '../../src/dimse/archive-query.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { type DimseRefusal, type DimseServer, type DimseServerOptions, startDimseServer } from '../../src/dimse/server.ts'

/** A DICOM service of ours with an archive behind it, on a free port of the loopback. */
export interface Receiver {
  readonly port: number
  readonly server: DimseServer
  readonly archive: TestArchive
  readonly refusals: DimseRefusal[]
  readonly logged: string[]
  readonly metrics: Metrics
  stop(): Promise<void>
}

export interface ReceiverOptions extends Partial<DimseServerOptions> {
  readonly archive?: Partial<ArchiveOptions>
}

export async function startReceiver(options: ReceiverOptions = {}): Promise<Receiver> {
  const { archive: archiveOptions, ...dimse } = options
  const archive = await testArchive(archiveOptions)
  const refusals: DimseRefusal[] = []
  const logged: string[] = []
  const metrics = createMetrics()
  const server = await startDimseServer({
    host: '127.0.0.1',
    port: 0,
    aeTitle: parseAeTitle('LIANPIAN'),
    isAllowed: async () => true,
    storage: archiveSink(archive.archive),
    query: archiveQuery(archive.archive),
    log: createLog({ name: 'dimse', level: 'debug' }, { write: (line) => logged.push(line) }),
    metrics,
    onRefusal: (refusal) => refusals.push(refusal),
    ...dimse,
  })
  return {
    port: server.port,
    server,
    archive,
    refusals,
    logged,
    metrics,
    async stop() {
      await server.close()
      await archive.close()
    },
  }
}

export interface ToolResult {
  readonly code: number | null
  /** Both streams together, as somebody at a terminal would see them. */
  readonly output: string
}

/** Runs a tool of DCMTK (Debian package dcmtk) to its end. */
export function run(tool: string, args: readonly string[], timeoutMs = 30_000): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(tool, args, { timeout: timeoutMs })
    const output: Buffer[] = []
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    child.once('error', (error) => reject(new Error(`${tool} cannot be run, the package dcmtk is needed: ${error.message}`)))
    child.once('close', (code) => resolve({ code, output: Buffer.concat(output).toString('utf8') }))
  })
}

/** A peer that keeps running until `stop`, reachable on its port when the promise resolves. */
export async function startPeer(tool: string, args: readonly string[], port: number): Promise<{ stop(): Promise<void> }> {
  const child = spawn(tool, args, { stdio: 'ignore' })
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${tool} cannot be run, the package dcmtk is needed: ${error.message}`)))
    child.once('close', () => resolve())
  })
  await Promise.race([reachable(port), ended.then(() => Promise.reject(new Error(`${tool} ended at once`)))])
  return {
    async stop() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function reachable(port: number): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.destroy())
    })
    if (open) return
    await delay(25)
  }
  throw new Error(`nothing listens on port ${port}`)
}

export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

export async function until(what: string, condition: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`never happened: ${what}`)
    await delay(3)
  }
}

/** Fixture files of a set, by full path. */
export function fixture(set: string, file = ''): string {
  return path.join(unpackFixtures(set), set, file)
}

/** What a Part 10 file holds after its meta header. */
export async function datasetOf(file: string): Promise<{ bytes: Buffer; transferSyntaxUid: string }> {
  return datasetIn(await readFile(file))
}

export function datasetIn(file: Buffer): { bytes: Buffer; transferSyntaxUid: string } {
  const meta = readFileMeta(file, true)
  if (!meta) throw new Error('a whole file has a whole header')
  return { bytes: file.subarray(meta.datasetOffset), transferSyntaxUid: meta.transferSyntaxUid }
}

/** The stored file of an instance, without its meta header. */
export async function storedDataset(
  { archive }: TestArchive,
  sopInstanceUid: string,
): Promise<{ bytes: Buffer; transferSyntaxUid: string }> {
  const file = await archive.open(sopInstanceUid)
  return datasetIn(await file.read(0, file.sizeBytes))
}
