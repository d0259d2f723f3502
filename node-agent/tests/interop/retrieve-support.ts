import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLog, createMetrics } from 'service-kit'
import { parseAeTitle } from 'specs'
import { testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { readFileMeta } from '../../src/dicom/file-meta.ts'
import { createCodecPool } from '../../src/dicom/render/codec-pool.ts'
import { chooseSyntax, transcode } from '../../src/dicom/transcode/transcode.ts'
import { archiveQuery } from '../../src/dimse/archive-query.ts'
import { archiveRetrieve } from '../../src/dimse/archive-retrieve.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { getService } from '../../src/dimse/c-get.ts'
import { type Moved, moveService } from '../../src/dimse/c-move.ts'
import { type DicomPeer } from '../../src/dimse/scu.ts'
import { type DimseRefusal, type DimseServer, type DimseServerOptions, type MessageService, startDimseServer } from '../../src/dimse/server.ts'
import { freePort, startPeer } from './dimse-support.ts'

/** Our query and retrieve service over an archive; `nodes` are the registered ones, and may be changed at any time. */
export interface RetrieveService {
  readonly peer: DicomPeer
  readonly archive: TestArchive
  readonly nodes: Map<string, DicomPeer>
  readonly moved: Moved[]
  readonly refusals: DimseRefusal[]
  readonly server: DimseServer
  store(file: string): Promise<{ readonly studyInstanceUid: string; readonly seriesInstanceUid: string; readonly sopInstanceUid: string }>
  stop(): Promise<void>
}

export interface RetrieveServiceOptions extends Partial<DimseServerOptions> {
  readonly maxMoves?: number
  readonly moreServices?: (archive: TestArchive) => Promise<readonly MessageService[]>
}

export async function startRetrieveService({ maxMoves, moreServices, ...options }: RetrieveServiceOptions = {}): Promise<RetrieveService> {
  const archive = await testArchive()
  const log = createLog({ name: 'dimse', level: 'silent' })
  const codecs = createCodecPool({ log, threads: 1 })
  const nodes = new Map<string, DicomPeer>()
  const moved: Moved[] = []
  const refusals: DimseRefusal[] = []
  const source = archiveRetrieve(archive.archive, { transcode: (file, syntax) => transcode(file, syntax, { codecs }) })
  const server = await startDimseServer({
    host: '127.0.0.1',
    port: 0,
    aeTitle: parseAeTitle('LIANPIAN'),
    isAllowed: async () => true,
    storage: archiveSink(archive.archive),
    query: archiveQuery(archive.archive),
    services: [
      moveService({ source, log, destinationOf: async (aeTitle) => nodes.get(aeTitle), sending: { callingAeTitle: 'LIANPIAN' }, onMoved: (told) => moved.push(told), ...(maxMoves !== undefined && { maxAtOnce: maxMoves }) }),
      getService({ source, log, chooseSyntax }),
      ...((await moreServices?.(archive)) ?? []),
    ],
    log,
    metrics: createMetrics(),
    onRefusal: (refusal) => refusals.push(refusal),
    ...options,
  })
  return {
    peer: { aeTitle: 'LIANPIAN', host: '127.0.0.1', port: server.port },
    archive,
    nodes,
    moved,
    refusals,
    server,
    async store(file) {
      const incoming = await archive.archive.receive({ kind: 'import', peer: 'test' }, { part10: true })
      await incoming.write(await readFile(file))
      return incoming.commit()
    },
    async stop() {
      await server.close()
      await codecs.close()
      await archive.close()
    },
  }
}

/** DCMTK's storescp as the destination of retrievals, with a folder of its own. */
export interface Destination {
  readonly peer: DicomPeer
  readonly folder: string
  files(): Promise<string[]>
  /** What each received file says of itself, by SOP Instance UID in its name. */
  syntaxes(): Promise<string[]>
  empty(): Promise<void>
  stop(): Promise<void>
}

export async function startDestination(aeTitle: string, ...options: string[]): Promise<Destination> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-destination-'))
  const received = path.join(folder, 'received')
  await mkdir(received)
  const port = await freePort()
  const running = await startPeer('storescp', ['-aet', aeTitle, '-od', received, '-uf', ...options, String(port)], port)
  const files = async () => (await readdir(received)).map((name) => path.join(received, name))
  return {
    peer: { aeTitle, host: '127.0.0.1', port },
    folder,
    files,
    syntaxes: async () => Promise.all((await files()).map(async (file) => readFileMeta(await readFile(file), true)?.transferSyntaxUid ?? '')),
    empty: async () => {
      for (const file of await files()) await rm(file)
    },
    async stop() {
      await running.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
