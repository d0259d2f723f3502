import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { EXPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { sendInstances, type DicomPeer } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { freePort, startPeer } from './dimse-support.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'

/** A PACS that was there before us. */
export interface OlderPacs {
  readonly peer: DicomPeer
  /** Where its files lie. */
  readonly storage: string
  fill(files: readonly { readonly path: string; readonly sopInstanceUid: string }[]): Promise<void>
  /** Dies without a word. */
  kill(): Promise<void>
  startAgain(): Promise<void>
  stop(): Promise<void>
}

/** dcmqrscp of DCMTK, which sends to `us` by C-MOVE; `options` go to its command line. */
export async function startDcmqrscp(us: DicomPeer, ...options: string[]): Promise<OlderPacs> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-qrscp-'))
  const storage = path.join(folder, 'OLDPACS')
  await mkdir(storage)
  const port = await freePort()
  const config = path.join(folder, 'dcmqrscp.cfg')
  await writeFile(
    config,
    `MaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nus = (${us.aeTitle}, localhost, ${us.port})\nHostTable END\nVendorTable BEGIN\nVendorTable END\nAETable BEGIN\nOLDPACS ${storage} RW (500, 1024mb) ANY\nAETable END\n`,
  )
  const start = () => startPeer('dcmqrscp', ['-c', config, ...options, String(port)], port)
  let running = await start()
  const peer = { aeTitle: 'OLDPACS', host: '127.0.0.1', port }
  return {
    peer,
    storage,
    fill: (files) => fill(peer, files),
    kill: () => running.stop(),
    startAgain: async () => {
      running = await start()
    },
    async stop() {
      await running.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Orthanc, which sends to `us` by C-MOVE. */
export async function startOrthanc(us: DicomPeer): Promise<OlderPacs> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-orthanc-'))
  const [http, port] = [await freePort(), await freePort()]
  const config = path.join(folder, 'orthanc.json')
  await writeFile(
    config,
    JSON.stringify({
      Name: 'older', StorageDirectory: path.join(folder, 'db'), IndexDirectory: path.join(folder, 'db'), HttpPort: http, DicomPort: port, DicomAet: 'ORTHANC',
      AuthenticationEnabled: false, RemoteAccessAllowed: false, DicomAlwaysAllowFind: true, DicomAlwaysAllowGet: true, DicomAlwaysAllowMove: true, DicomCheckCalledAet: false,
      DicomModalities: { us: [us.aeTitle, '127.0.0.1', us.port] },
    }),
  ) // prettier-ignore
  let process: ChildProcess
  const start = async () => {
    process = spawn('Orthanc', [config], { stdio: 'ignore' })
    for (let waited = 0; !(await fetch(`http://127.0.0.1:${http}/system`).then(({ ok }) => ok, () => false)); waited += 100) {
      if (waited > 30_000 || process.exitCode !== null) throw new Error('Orthanc did not start')
      await delay(100)
    } // prettier-ignore
  }
  const kill = async () => {
    process.kill('SIGKILL')
    if (process.exitCode === null && process.signalCode === null) await once(process, 'exit')
  }
  await start()
  const peer = { aeTitle: 'ORTHANC', host: '127.0.0.1', port }
  return {
    peer,
    storage: path.join(folder, 'db'),
    fill: (files) => fill(peer, files),
    kill,
    startAgain: start,
    async stop() {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function fill(peer: DicomPeer, files: readonly { readonly path: string; readonly sopInstanceUid: string }[]): Promise<void> {
  const instances = files.map(({ path: file, sopInstanceUid }) => instanceOfFile(file, { sopClassUid: CT, sopInstanceUid, transferSyntaxUid: EXPLICIT_LE }))
  const deliveries = await sendInstances(peer, instances, { callingAeTitle: 'CT1' })
  const failed = deliveries.find((delivery) => delivery.kind === 'failed')
  if (failed) throw new Error(`${peer.aeTitle} was not filled: ${failed.problem.code}`)
}

export interface MadeStudy {
  readonly studyInstanceUid: string
  readonly files: readonly { readonly path: string; readonly sopInstanceUid: string }[]
}

/** A study of small slices in two series, as files in `folder`. */
export async function makeStudy(folder: string, number: number, slices: number, attributes: Record<string, string> = {}): Promise<MadeStudy> {
  const studyInstanceUid = `2.25.77${number}`
  const files = []
  for (let n = 1; n <= slices; n++) {
    const sopInstanceUid = `${studyInstanceUid}.${n}`
    const file = path.join(folder, `${number}-${n}.dcm`)
    const series = { SeriesInstanceUID: `${studyInstanceUid}.90${n % 2}`, SeriesNumber: String(n % 2) }
    await writeFile(file, buildFile(aSlice({ StudyInstanceUID: studyInstanceUid, SOPInstanceUID: sopInstanceUid, InstanceNumber: String(n), ...series, ...attributes })))
    files.push({ path: file, sopInstanceUid })
  }
  return { studyInstanceUid, files }
}

/** Takes the file of an instance away from under the index of dcmqrscp. */
export async function loseFile(pacs: OlderPacs, count: number): Promise<void> {
  const names = (await readdir(pacs.storage)).filter((name) => name !== 'index.dat').sort()
  for (const name of names.slice(0, count)) await rm(path.join(pacs.storage, name))
}
