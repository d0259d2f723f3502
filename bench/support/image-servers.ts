import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { ensureSystemPackages } from '../../scripts/run.mjs'
import { ServiceProcess } from '../../scripts/region/service-process.ts'
import { freePort } from '../../service-kit/tests/support/nats.ts'

const execute = promisify(execFile)
const password = 'lianpian-bench-1'

/** Somebody who has images and gives them by DICOMweb. */
export interface ImageServer {
  readonly name: string
  readonly pid: number
  readonly aeTitle: string
  readonly dicomPort: number
  /** Of its DICOMweb services. */
  readonly url: string
  /** What every request carries. */
  readonly headers: Readonly<Record<string, string>>
  stop(): Promise<void>
}

/** A node as it is delivered: accounts, rights, masks and trail included. The reader is a doctor who says why. @param more of its configuration. */
export async function startNode(folder: string, more: object = {}): Promise<ImageServer> {
  const [http, dicomPort] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const config = {
    hospital: { id: 'bench', name: 'bench' }, dataFolder: './data', http: { port: http, limits: { searchesPerMinute: 1_000_000, requestsPer10s: 1_000_000 } },
    dimse: { host: '127.0.0.1', port: dicomPort, aeTitle: 'BENCH', allowAnyAe: true }, logLevel: 'warn',
    identity: { secondFactor: 'optional' }, accounts: [{ username: 'doctor', password, name: 'doctor', roles: ['doctor'] }],
    ...more,
  } // prettier-ignore
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
  const base = `http://127.0.0.1:${http}`
  const node = new ServiceProcess({ name: 'bench', main: 'node-agent/src/main.ts', args: ['--config', join(folder, 'config.json')], logFile: join(folder, 'log'), healthUrl: `${base}/health` })
  await node.start()
  const session = await fetch(`${base}/api/sessions`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'doctor', password }) })
  const { token } = (await session.json()) as { token: string }
  return { name: 'Lianpian', pid: node.pid!, aeTitle: 'BENCH', dicomPort, url: `${base}/dicom-web`, headers: { Authorization: `Bearer ${token}`, 'x-lianpian-reason': 'bench' }, stop: () => node.stop() }
}

/** Orthanc with its DICOMweb plugin, open to everybody. */
export async function startOrthanc(folder: string): Promise<ImageServer> {
  const [http, dicomPort] = [await freePort(), await freePort()]
  mkdirSync(folder, { recursive: true })
  const storage = join(folder, 'storage')
  const config = {
    Name: 'bench', StorageDirectory: storage, IndexDirectory: storage, HttpPort: http, DicomPort: dicomPort, DicomAet: 'BENCH', DicomCheckCalledAet: false, DicomAlwaysAllowStore: true,
    DicomAlwaysAllowFind: true, AuthenticationEnabled: false, RemoteAccessAllowed: false, Plugins: ['/usr/share/orthanc/plugins/libOrthancDicomWeb.so'], DicomWeb: { Enable: true }, DicomThreadsCount: 8, SyncStorageArea: true,
  } // prettier-ignore
  writeFileSync(join(folder, 'orthanc.json'), JSON.stringify(config))
  const child = spawn('Orthanc', [join(folder, 'orthanc.json')], { stdio: 'ignore' })
  await answering(`http://127.0.0.1:${http}/system`)
  return { name: 'Orthanc', pid: child.pid!, aeTitle: 'BENCH', dicomPort, url: `http://127.0.0.1:${http}/dicom-web`, headers: {}, stop: () => ended(child) }
}

/** nginx giving one folder's files: what a web server can do at best with these bytes on this machine. */
export async function startNginx(folder: string, files: string): Promise<{ url: string; pid: number; stop(): Promise<void> }> {
  await ensureSystemPackages({ programs: ['nginx'], apt: ['nginx-light'] })
  const port = await freePort()
  mkdirSync(folder, { recursive: true })
  const config = `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1; user root; events {} http { access_log off; sendfile on; server { listen 127.0.0.1:${port}; root ${files}; } }`
  writeFileSync(join(folder, 'nginx.conf'), config)
  const child = spawn('nginx', ['-e', join(folder, 'error.log'), '-c', join(folder, 'nginx.conf')], { stdio: 'ignore' })
  await answering(`http://127.0.0.1:${port}/`)
  return { url: `http://127.0.0.1:${port}`, pid: child.pid!, stop: () => ended(child) }
}

async function answering(url: string): Promise<void> {
  const deadline = Date.now() + 30_000
  while (!(await fetch(url).then(() => true, () => false))) {
    if (Date.now() > deadline) throw new Error(`${url} does not answer`)
    await sleep(100)
  }
}

async function ended(child: ReturnType<typeof spawn>): Promise<void> {
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  await gone
}

export interface Download {
  readonly seconds: number
  readonly firstByteSeconds: number
  readonly bytes: number
}

/** By curl, which is not what limits: a process of its own that throws the bytes away. */
export async function download(url: string, headers: Readonly<Record<string, string>>, to = '/dev/null'): Promise<Download> {
  const given = Object.entries(headers).flatMap(([name, value]) => ['-H', `${name}: ${value}`])
  const { stdout } = await execute('curl', ['-sS', '-o', to, '-w', '%{http_code} %{time_total} %{time_starttransfer} %{size_download}', ...given, url])
  const [status = 0, seconds = NaN, firstByteSeconds = NaN, bytes = NaN] = stdout.split(' ').map(Number)
  if (status !== 200) throw new Error(`${url} answered ${status}`)
  return { seconds, firstByteSeconds, bytes }
}

/** Until every instance can be found. */
export async function settled({ url, headers }: ImageServer, study: string, instances: number): Promise<void> {
  for (let waited = 0; ; waited += 200) {
    const answer = await fetch(`${url}/studies/${study}/instances?limit=100000`, { headers: { ...headers, accept: 'application/dicom+json' } })
    if (answer.ok && ((await answer.json()) as unknown[]).length === instances) return
    if (waited > 60_000) throw new Error(`${url}: not all instances came`)
    await sleep(200)
  }
}
