import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readFileSync } from 'node:fs'
import { fixture, startWebService, type WebService } from './dicomweb-support.ts'

/** Orthanc with its DICOMweb plugin, as another hospital's PACS that speaks to us as a client. */
describe('DICOMweb with Orthanc as the client', () => {
  let web: WebService
  let orthanc: ChildProcess
  let url: string
  let log = ''

  beforeAll(async () => {
    web = await startWebService()
    const [http, dicom] = [await freePort(), await freePort()]
    url = `http://127.0.0.1:${http}`
    const storage = path.join(web.test.folder, 'orthanc')
    const settings = {
      ...{
        Name: 'peer',
        StorageDirectory: storage,
        IndexDirectory: storage,
        HttpPort: http,
        DicomPort: dicom,
        AuthenticationEnabled: false,
        RemoteAccessAllowed: false,
      },
      Plugins: ['/usr/share/orthanc/plugins/libOrthancDicomWeb.so'],
      DicomWeb: { Enable: true, Servers: { us: { Url: `${web.url}/dicom-web/`, HttpHeaders: web.headers } } },
    }
    const config = path.join(web.test.folder, 'orthanc.json')
    await writeFile(config, JSON.stringify(settings))
    orthanc = spawn('Orthanc', [config], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [orthanc.stdout, orthanc.stderr]) stream?.on('data', (chunk) => (log = (log + String(chunk)).slice(-4_000)))
    for (let waited = 0; ; waited += 100) {
      if (
        await fetch(`${url}/system`).then(
          ({ ok }) => ok,
          () => false,
        )
      )
        break
      if (waited > 30_000 || orthanc.exitCode !== null) throw new Error(`Orthanc did not start: ${log}`)
      await delay(100)
    }
  })
  afterAll(async () => {
    orthanc.kill('SIGTERM')
    await once(orthanc, 'exit')
    await web.stop()
  })

  const post = async (address: string, body: unknown): Promise<unknown> => {
    const response = await fetch(url + address, { method: 'POST', body: JSON.stringify(body) })
    const text = await response.text()
    if (!response.ok) throw new Error(`${address}: ${response.status} ${text} ${log}`)
    return text === '' ? undefined : JSON.parse(text)
  }

  it('finds a study by QIDO-RS and fetches it by WADO-RS', async () => {
    // FED-24, FED-25
    const receipt = await web.store(fixture('us-echo', 'I_000002.dcm'))
    const found = (await post('/dicom-web/servers/us/qido', {
      Uri: '/studies',
      Arguments: { StudyInstanceUID: receipt.studyInstanceUid },
    })) as unknown[]
    expect(found).toHaveLength(1)
    await post('/dicom-web/servers/us/retrieve', { Resources: [{ Study: receipt.studyInstanceUid }], Synchronous: true })
    const [instance = ''] = (await post('/tools/find', {
      Level: 'Instance',
      Query: { SOPInstanceUID: receipt.sopInstanceUid },
    })) as string[]
    const copy = Buffer.from(await (await fetch(`${url}/instances/${instance}/file`)).arrayBuffer())
    const ours = await web.archive.read(receipt.sopInstanceUid, 0, receipt.sizeBytes)
    expect(copy.equals(ours)).toBe(true)
  })

  it('sends us a study by STOW-RS', async () => {
    const sent = readFileSync(fixture('dx-small', 'dx_image.dcm'))
    const uploaded = (await (await fetch(`${url}/instances`, { method: 'POST', body: sent })).json()) as { ParentStudy: string }
    const before = web.archive.totals().instances
    await post('/dicom-web/servers/us/stow', { Resources: [uploaded.ParentStudy], Synchronous: true })
    expect(web.archive.totals().instances).toBe(before + 1)
    const [row] = await web.archive.instances(undefined, undefined, { match: { Modality: 'DX' } })
    expect(row).toMatchObject({ sourceKind: 'stow', sourcePeer: 'wang' })
  })
})

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
