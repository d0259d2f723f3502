import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type DicomPeer } from '../../src/dimse/scu.ts'
import { freePort, until } from './dimse-support.ts'

/** Orthanc (Debian package orthanc) as another PACS: its own storage in a folder of its own, gone with `stop`. */
export interface Orthanc {
  readonly peer: DicomPeer
  readonly url: string
  get(address: string): Promise<unknown>
  /** @param body JSON, or the bytes of a file. */
  post(address: string, body: unknown): Promise<unknown>
  upload(file: string): Promise<void>
  /** The stored file of an instance. */
  fileOf(sopInstanceUid: string): Promise<Buffer>
  stop(): Promise<void>
}

/** @param modalities the DICOM nodes that it knows, by the name its REST interface calls them. */
export async function startOrthanc(aeTitle: string, modalities: Readonly<Record<string, DicomPeer>>): Promise<Orthanc> {
  const folder = await mkdtemp(path.join(tmpdir(), 'lianpian-orthanc-'))
  const [http, dicom] = [await freePort(), await freePort()]
  const url = `http://127.0.0.1:${http}`
  const config = path.join(folder, 'orthanc.json')
  await writeFile(
    config,
    JSON.stringify({
      ...{ Name: aeTitle, StorageDirectory: folder, IndexDirectory: folder, HttpPort: http, DicomPort: dicom, DicomAet: aeTitle },
      ...{ AuthenticationEnabled: false, RemoteAccessAllowed: false, DicomAlwaysAllowEcho: true, SynchronousCMove: true, Plugins: [] },
      DicomModalities: Object.fromEntries(Object.entries(modalities).map(([name, { aeTitle: title, host, port }]) => [name, { AET: title, Host: host, Port: port, AllowStorageCommitment: true }])),
    }),
  )
  const child = spawn('Orthanc', [config], { stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (log = (log + String(chunk)).slice(-4_000)))
  await until(
    'Orthanc answers',
    async () => {
      if (child.exitCode !== null) throw new Error(`Orthanc did not start: ${log}`)
      return fetch(`${url}/system`).then(({ ok }) => ok, () => false) // prettier-ignore
    },
    30_000,
  )
  const ask = async (address: string, init?: RequestInit) => {
    const response = await fetch(url + address, init)
    const text = await response.text()
    if (!response.ok) throw new Error(`${address}: ${response.status} ${text} ${log}`)
    return text === '' ? undefined : (JSON.parse(text) as unknown)
  }
  const orthanc: Orthanc = {
    peer: { aeTitle, host: '127.0.0.1', port: dicom },
    url,
    get: (address) => ask(address),
    post: (address, body) => ask(address, { method: 'POST', body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
    upload: async (file) => void (await orthanc.post('/instances', await readFile(file))),
    async fileOf(sopInstanceUid) {
      const [id = ''] = (await orthanc.post('/tools/find', { Level: 'Instance', Query: { SOPInstanceUID: sopInstanceUid } })) as string[]
      return Buffer.from(await (await fetch(`${url}/instances/${id}/file`)).arrayBuffer())
    },
    async stop() {
      child.kill('SIGTERM')
      await once(child, 'exit')
      await rm(folder, { recursive: true, force: true })
    },
  }
  return orthanc
}
