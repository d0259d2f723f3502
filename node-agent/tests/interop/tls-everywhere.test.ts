import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTlsAuthority, issueTlsCertificate } from 'pki'
import { createLog, Outbound, outboundFetch } from 'service-kit'
import { parseHospitalId, RegionId, type JoinCode, type LinkStatus } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { initAuthority } from '../../../hub/src/authority/set-up.ts'
import { HubConfig, settingsOf as hubSettingsOf } from '../../../hub/src/config.ts'
import { startHub, type RunningHub } from '../../../hub/src/hub.ts'
import { prepareNats } from '../../../hub/src/nats/index.ts'
import { ensureNatsServer, natsServerVersion, startNatsServer } from '../../../scripts/nats-server.mjs'
import { NodeConfig, settingsOf } from '../../src/config.ts'
import { startNode, type RunningNode } from '../../src/node.ts'
import { password } from '../support/region.ts'
import { fixture, freePort, run, until } from './dimse-support.ts'

/** A region in which nothing is plain: pages, API, NATS, DICOM. */
let folder: string
let nats: Awaited<ReturnType<typeof startNatsServer>>
let hub: RunningHub
let node: RunningNode
const ca = createTlsAuthority({ name: '医院 TLS 根', days: 30 })
const log = createLog({ name: 'tls', level: 'silent' })
const pem = (name: string) => join(folder, 'tls', name)
const files = { certFile: '', keyFile: '' }
const hubUrl = () => `https://127.0.0.1:${hub.port}`
const nodeUrl = () => `https://127.0.0.1:${node.httpPort}`

async function ask<T>(url: string, method = 'GET', body?: unknown, token?: string): Promise<T> {
  const headers = { 'content-type': 'application/json', ...(token !== undefined && { authorization: `Bearer ${token}` }) }
  const answer = await outboundFetch(new Outbound(), url, { method, headers, ...(body !== undefined && { body: JSON.stringify(body) }) }, { purpose: 'hub', ca: ca.certificatePem })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${url}: ${text}`)
  return (text === '' ? undefined : JSON.parse(text)) as T
}
const signIn = async (url: string, username: string) => (await ask<{ token: string }>(`${url}/api/sessions`, 'POST', { username, password })).token

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-all-tls-'))
  await mkdir(join(folder, 'tls'))
  const { certificatePem, privateKeyPem } = issueTlsCertificate(ca, { names: ['127.0.0.1', 'localhost'], days: 20 })
  Object.assign(files, { certFile: pem('cert.pem'), keyFile: pem('key.pem') })
  await Promise.all([writeFile(files.certFile, certificatePem), writeFile(files.keyFile, privateKeyPem), writeFile(pem('ca.pem'), ca.certificatePem)])
  const accounts = [{ username: 'admin', password, name: '管理员', roles: ['admin'] }]

  const natsPort = await freePort()
  const region = { id: RegionId.parse('yunling'), name: '云岭区域影像网' }
  const hubSettings = hubSettingsOf(
    HubConfig.parse({
      dir: 'hub',
      region,
      http: { port: 0, tls: files },
      nats: { url: `nats://127.0.0.1:${natsPort}`, tls: 'on' },
      heartbeatMs: 500,
      identity: { secondFactor: 'optional' },
      accounts: [{ username: 'admin', password, name: '区域管理员', roles: ['region-admin'] }],
    }),
    folder,
  )
  await initAuthority({ dir: hubSettings.dir, regionId: region.id, regionName: region.name })
  const path = await ensureNatsServer()
  const { configFile } = await prepareNats({
    dir: hubSettings.nats.adminDir,
    host: '127.0.0.1',
    port: natsPort,
    storeDir: hubSettings.nats.storeDir,
    tls: 'on',
    serverVersion: await natsServerVersion(path),
  })
  nats = await startNatsServer({ path, configFile })
  hub = await startHub(hubSettings, log)
  const nodeSettings = settingsOf(
    NodeConfig.parse({
      hospital: { id: 'hospital-a', name: '云溪县人民医院' },
      http: { port: 0, tls: files },
      dimse: { host: '127.0.0.1', port: 0, aeTitle: 'YUNXI', allowAnyAe: true, tls: { host: '127.0.0.1', port: 0, ...files, only: true } },
      region: { heartbeatMs: 500, hubCaFile: pem('ca.pem') },
      archive: { minFreeBytes: 1_000_000 },
      identity: { secondFactor: 'optional' },
      accounts,
    }),
    folder,
  )
  node = await startNode(nodeSettings, log)
})
afterAll(async () => {
  await node?.stop()
  await hub?.stop()
  const ended = once(nats, 'exit')
  nats.kill('SIGKILL')
  await ended
  await rm(folder, { recursive: true })
})

describe('a region in which nothing is plain', () => {
  it('is joined over HTTPS under the hospital’s own root, and its line is TLS', async () => { // SEC-11 SEC-09
    const id = parseHospitalId('hospital-a')
    const regionAdmin = await signIn(hubUrl(), 'admin')
    await ask(`${hubUrl()}/api/hospitals`, 'POST', { id, name: '云溪县人民医院', code: 'A', kinds: ['submitter'], taskTypes: ['consultation'], flowModes: ['push'], agentAddress: '' }, regionAdmin)
    const { code } = await ask<JoinCode>(`${hubUrl()}/api/hospitals/${id}/join-code`, 'POST', undefined, regionAdmin)
    const admin = await signIn(nodeUrl(), 'admin')
    const joined = await ask<LinkStatus>(`${nodeUrl()}/api/link`, 'PUT', { hubUrl: hubUrl(), joinCode: code }, admin)
    expect(joined).toMatchObject({ regionId: 'yunling', natsUrl: expect.stringMatching(/^tls:/) as unknown })
    await until('the line is up', async () => (await ask<LinkStatus>(`${nodeUrl()}/api/link`, 'GET', undefined, admin)).state === 'connected')
  })

  it('receives images over TLS from DCMTK, and has no plain DICOM port', async () => { // SEC-09 AGT-09
    const port = String(node.dimseTlsPort)
    const sent = await run('storescu', ['-v', '+sd', '+r', '+tla', '+cf', pem('ca.pem'), '-aec', 'YUNXI', '127.0.0.1', port, fixture('ct-chest')])
    expect(sent.output).toContain('Received Store Response (Success)')
    expect((await run('storescu', ['+sd', '+r', '-to', '5', '-aec', 'YUNXI', '127.0.0.1', port, fixture('ct-chest')])).code).not.toBe(0)
    expect(node.dimsePort).toBe(node.dimseTlsPort)
  })

  it('gives nothing to somebody who speaks plain HTTP, nor to one who does not know the root', async () => { // SEC-09
    const plain = connect(node.httpPort, '127.0.0.1')
    let said = ''
    plain.setEncoding('latin1').on('data', (text: string) => (said += text))
    plain.on('error', () => undefined)
    plain.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(plain, 'close')
    expect(said).not.toContain('HTTP/1.1 200')
    await expect(outboundFetch(new Outbound(), `${nodeUrl()}/health`, {}, { purpose: 'hub' })).rejects.toThrow(/certificate|self-signed/)
  })
})
