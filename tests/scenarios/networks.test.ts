import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DicomNode, EchoResult, ExamRow, HospitalRow, TaskDetail } from 'specs'
import { root } from '../../scripts/run.mjs'
import type { ApiUser } from '../../scripts/region/api.ts'
import { Networks } from '../support/networks/networks.ts'
import { addresses, layRegion, ports, type RegionHosts } from '../support/networks/region-networks.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { fixtureFolder, keyImagesOf, sign, stepsOf, submit, untilImagesHeld, untilState } from '../support/story.ts'

/** Ports that a thorough caller tries first; the listening ones of PACS, RIS and database are among them. */
const usualPorts = ['1-1100', '1433', '1521', '2575', '2761-2762', '3306', '3389', '4242', '5432', '8042', '8080', '8400', '8420', '11112', '11420']

/** Real networks: hospital A on the WAN with two network cards, B behind NAT, C on a dedicated line. */
describe('a region across separate networks', () => {
  let networks: Networks
  let hosts: RegionHosts
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let admin: ApiUser

  /** A device of the hospital sends; the exam is there. */
  async function scanned(hospitalId: string, from: keyof RegionHosts, set: string, count: number): Promise<ExamRow> {
    const { dicom } = region.hospital(hospitalId)
    await hosts[from].run('storescu', '+sd', '+r', '-aec', dicom.aeTitle, dicom.host, String(dicom.port), fixtureFolder(set))
    const staff = await region.signIn(hospitalId, 'admin')
    return eventually(`${set} is an exam of ${hospitalId}`, async () => (await staff.get<{ rows: ExamRow[] }>('/api/exams')).rows.find((exam) => exam.instanceCount === count))
  }
  const hospitals = () => admin.get<HospitalRow[]>('/api/hospitals')

  beforeAll(async () => {
    networks = await Networks.open()
    const laid = await layRegion(networks)
    hosts = laid.hosts
    // A table of its own, so that the kernel says where the node of A called: the log must know of all of it.
    await hosts.aNode.rules(`
      table inet seen {
        set called {
          type inet_proto . ipv4_addr . inet_service
          flags dynamic
          size 1000
        }
        chain out {
          type filter hook output priority filter
          oifname "outer" ct state new meta l4proto { tcp, udp } update @called { meta l4proto . ip daddr . th dport }
        }
      }
    `)
    networks.launch(hosts.aPacs, 'storescp', '-aet', 'PACS', '--ignore', '--disable-host-lookup', String(ports.pacs))
    await networks.listen(hosts.aRis, ports.database, ports.hl7)
    region = await startTestRegion({
      hospitals: ['hospital-a', 'hospital-b', 'hospital-c'],
      places: laid.places,
      change: (plan) => ({
        ...plan,
        hubPort: ports.hub,
        natsPort: ports.nats,
        hospitals: plan.hospitals.map((hospital) => ({
          ...hospital,
          httpPort: ports.http,
          dicomPort: ports.dimse,
          ...(hospital.id === 'hospital-c' && { natsUrl: `nats://${addresses.platform.line}:${ports.nats}` }),
        })),
      }),
    })
    admin = await region.signInToHub()
  })
  afterAll(async () => {
    await region?.close()
    await networks?.close()
  })

  it('registers a hospital on the WAN, one behind NAT without any inbound port, and one on a dedicated line', async () => { // FED-04
    const online = await eventually('all three are online', async () => {
      const rows = await hospitals()
      return rows.every((row) => row.joined && row.online) && rows
    })
    expect(online.map(({ id }) => id).sort()).toEqual(['hospital-a', 'hospital-b', 'hospital-c'])
    // What the platform sees of them: A's own address, B's router, the far end of the line.
    const sockets = await hosts.platform.run('ss', '-Htn', 'state', 'established', `( sport = :${ports.nats} )`)
    const callers = sockets.split('\n').flatMap((line) => /([\d.]+)\]?:\d+\s*$/.exec(line)?.[1] ?? [])
    expect(new Set(callers.filter((address) => address !== '127.0.0.1'))).toEqual(new Set([addresses.a.outer, addresses.b.outer, addresses.c.line]))
  })

  it('shows on the platform what a device behind the two cards sent, and brings the opinion back', async () => { // AGT-01, FED-04
    const exam = await scanned('hospital-a', 'aPacs', 'ct-head-tiny', 93)
    await eventually('the platform knows how much A holds', async () => (await hospitals()).some(({ id, studies, instances }) => id === 'hospital-a' && studies === 1 && instances === 93))
    const wang = await region.signIn('hospital-a', 'wang')
    const chen = await region.signIn('hospital-c', 'chen')
    const taskId = await submit(wang, { exam, mode: 'push' })
    expect((await untilImagesHeld(chen, taskId)).images).toMatchObject({ held: 93, total: 93 })
    await chen.send('POST', `/api/consults/${taskId}/claim`, {})
    await sign(chen, taskId, await keyImagesOf(chen, exam.studyInstanceUid!, 1))
    const returned = await untilState(wang, taskId, 'returned')
    expect(returned.opinionValid).toBe(true)
    const ledger = await eventually('the platform has the task', async () => {
      const task = await admin.get<TaskDetail>(`/api/tasks/${taskId}`)
      return task.state === 'returned' && task
    })
    expect(stepsOf(ledger as never)).toEqual(expect.arrayContaining(['submitted', 'images-arrived', 'claimed', 'signed', 'returned']))
  })

  it('lets an expert on the dedicated line open images of the hospital behind NAT, and answer it', async () => { // FED-04
    const exam = await scanned('hospital-b', 'bDesk', 'mr-overlay', 1)
    const li = await region.signIn('hospital-b', 'li')
    const chen = await region.signIn('hospital-c', 'chen')
    const taskId = await submit(li, { exam, mode: 'pull' })
    await untilState(chen, taskId, 'submitted')
    await chen.send('POST', `/api/consults/${taskId}/claim`, {})
    const [image] = await keyImagesOf(chen, exam.studyInstanceUid!, 1)
    const wado = await chen.raw(`/wado?requestType=WADO&studyUID=${image!.studyInstanceUid}&seriesUID=${image!.seriesInstanceUid}&objectUID=${image!.sopInstanceUid}&contentType=image/jpeg`)
    expect(wado.status).toBe(200)
    await untilImagesHeld(chen, taskId)
    await sign(chen, taskId, [])
    expect((await untilState(li, taskId, 'returned')).opinionValid).toBe(true)
  })

  it('binds each service to the card that was chosen for it', async () => { // AGT-01
    const listening = async (host: keyof RegionHosts) => (await hosts[host].run('ss', '-Htln')).split('\n').flatMap((line) => line.split(/\s+/)[3] ?? []).sort()
    expect(await listening('aNode')).toEqual([`0.0.0.0:${ports.http}`, `${addresses.a.node}:${ports.dimse}`])
    expect(await listening('cNode')).toEqual([`${addresses.c.node}:${ports.dimse}`, `${addresses.c.node}:${ports.http}`])
  })

  it('reaches the PACS from the node, while no platform host does, even by way of the node', async () => { // AGT-01, FED-05
    const staff = await region.signIn('hospital-a', 'admin')
    const pacs = await staff.send<DicomNode>('POST', '/api/dicom-nodes', { aeTitle: 'PACS', host: addresses.a.pacs, port: ports.pacs, description: 'PACS', allowed: true, forwardPushed: false })
    expect(await staff.send<EchoResult>('POST', `/api/dicom-nodes/${pacs.id}/echo`)).toMatchObject({ ok: true })
    // The scan itself works: inside the hospital it finds what there is.
    expect((await hosts.aDesk.scan(addresses.a.pacs, ...usualPorts)).open).toEqual([ports.pacs])
    expect((await hosts.aDesk.scan(addresses.a.ris, ...usualPorts)).open).toEqual([ports.hl7, ports.database])

    const outside = async () => {
      const scans = await Promise.all([addresses.a.pacs, addresses.a.ris].map((address) => hosts.platform.scan(address, ...usualPorts)))
      return scans.map(({ open }) => open)
    }
    expect(await outside()).toEqual([[], []])
    // It is the missing forwarding, and nothing else, that keeps them apart.
    await hosts.aNode.forward(true)
    expect(await outside()).toEqual([[ports.pacs], [ports.hl7, ports.database]])
    await hosts.aNode.forward(false)
    expect(await outside()).toEqual([[], []])
  })

  it('shows a port scan from the platform the declared port of A, and nothing of B and C', async () => { // FED-05
    const [a, b, c] = await Promise.all([
      hosts.platform.scan(addresses.a.outer, '1-65535'),
      hosts.platform.scan(addresses.b.outer, ...usualPorts),
      hosts.platform.scan(addresses.c.line, ...usualPorts),
    ])
    expect(a).toEqual({ open: [ports.http], closed: 65_534, silent: 0 })
    // B's router says nothing at all; C's node says of every port that nobody listens.
    expect(b).toMatchObject({ open: [], closed: 0 })
    expect(c).toMatchObject({ open: [], silent: 0 })
    // B's inner addresses are nobody's outside; nor does the line lead into C's network.
    const inner = await Promise.all([addresses.b.node, addresses.b.desk, addresses.c.desk].map((address) => hosts.platform.scan(address, ...usualPorts)))
    expect(inner.map(({ open }) => open)).toEqual([[], [], []])
  })

  it('closes the inner address to the outer card with the packet filter that comes with the node', async () => { // AGT-01, FED-05
    // Linux answers for every address on every card: binding to the inner one is not enough against the next hop.
    const innerAddress = () => hosts.platform.scan(addresses.a.node, ...usualPorts)
    expect((await innerAddress()).open).toEqual([ports.http, ports.dimse])
    await hosts.aNode.rules(readFileSync(join(root, 'deploy', 'two-network-cards.nft'), 'utf8'))
    expect((await innerAddress()).open).toEqual([])
    expect((await hosts.platform.scan(addresses.a.outer, ...usualPorts)).open).toEqual([ports.http])
    await hosts.aNode.forward(true)
    expect((await hosts.platform.scan(addresses.a.pacs, ...usualPorts)).open).toEqual([])
    await hosts.aNode.forward(false)
    // Inside, and towards the region, all goes on: a new connection, too.
    await region.node('hospital-a').stop()
    await region.node('hospital-a').start()
    await region.untilConnected('hospital-a')
    await scanned('hospital-a', 'aPacs', 'dx-small', 1)
  })

  it("has every connection in the node agent's log, without a patient", async () => { // FED-05, AGT-01
    const visitor = await networks.seat(hosts.platform, addresses.a.outer, ports.http)
    expect((await fetch(`${visitor}/api/exams`, { headers: { connection: 'close' } })).status).toBe(401)
    const text = () => readFileSync(region.node('hospital-a').settings.logFile, 'utf8')
    const lines = () => text().trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>)
    await eventually('the visit is in the log', async () => lines().some(({ msg, remoteAddress, requests }) => msg === 'HTTP connection ended' && remoteAddress === addresses.platform.wan && requests === 1))
    const logged = (line: { msg: string; [fact: string]: unknown }) => expect(lines().filter(({ msg }) => msg === line.msg)).toContainEqual(expect.objectContaining({ level: 'info', ...line }))
    logged({ msg: 'request', path: '/api/exams', status: 401, address: addresses.platform.wan })
    // The scans came by without asking anything.
    logged({ msg: 'HTTP connection ended', remoteAddress: addresses.platform.wan, requests: 0 })
    // Inside: the device that sent, the node's call to the PACS, the doctor's page.
    logged({ msg: 'association accepted', callingAeTitle: 'STORESCU', remoteAddress: addresses.a.pacs })
    logged({ msg: 'association released', callingAeTitle: 'STORESCU', stored: 93 })
    logged({ msg: 'association opened by us', calledAeTitle: 'PACS', host: addresses.a.pacs })
    logged({ msg: 'HTTP connection opened', remoteAddress: addresses.a.desk })
    // Outwards: what the kernel saw leave the outer card, no more and no less.
    const outwards = lines().flatMap(({ msg, url, server, status }) => {
      if (msg === 'asked the platform') {
        expect(status).toBeLessThan(300)
        return new URL(String(url)).host
      }
      return msg === 'NATS connection opened' ? String(server) : []
    })
    const { nftables } = JSON.parse(await hosts.aNode.run('nft', '-j', 'list', 'set', 'inet', 'seen', 'called')) as { nftables: { set?: { elem: { concat: (string | number)[] }[] } }[] }
    const called = nftables.flatMap(({ set }) => set?.elem ?? []).map(({ concat: [protocol, address, port] }) => `${protocol} ${address}:${port}`)
    expect(new Set(called)).toEqual(new Set(outwards.map((place) => `tcp ${place}`)))
    expect(called).toHaveLength(2)
    // B and C: whom they called is in their logs as well.
    for (const [id, address] of [['hospital-b', addresses.platform.wan], ['hospital-c', addresses.platform.line]] as const) {
      const log = readFileSync(region.node(id).settings.logFile, 'utf8')
      expect(log).toMatch(new RegExp(`"server":"${address}:${ports.nats}"[^\\n]*"msg":"NATS connection opened"`))
      expect(log).toMatch(new RegExp(`"url":"http://${address}:${ports.hub}/api/join"[^\\n]*"msg":"asked the platform"`))
    }
    const wang = await region.signIn('hospital-a', 'wang')
    for (const { examId } of (await wang.get<{ rows: ExamRow[] }>('/api/exams')).rows) {
      const { patientName, patientId } = await wang.send<ExamRow>('POST', `/api/exams/${examId}/unmask`, { reason: '检查日志' })
      for (const secret of [patientName, patientId]) if (secret !== '') expect(text()).not.toContain(secret)
    }
  })
})
