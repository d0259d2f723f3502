import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { connect, credsAuthenticator } from '@nats-io/transport-node'
import { z } from 'zod'
import { createLog } from 'service-kit'
import {
  HUB,
  subjects,
  HospitalRow,
  JoinCode,
  RefusalRow,
  TaskDetail,
  TaskRow,
  Page,
  kinds,
  type ConsultFacts,
  type HospitalId,
  type LiveEvent,
} from 'specs'
import { freePort, startThrowAwayNats, type ThrowAwayNats } from '../../../service-kit/tests/support/nats.ts'
import { initAuthority } from '../../src/authority/set-up.ts'
import { HubConfig, settingsOf, type HubSettings } from '../../src/config.ts'
import { startHub, type RunningHub } from '../../src/hub.ts'
import { A, aCommand, anActor, B, C, hospital, regionId, someFacts, study } from '../support/builders.ts'
import { BareNode } from '../support/node.ts'

const heartbeatMs = 500
const admin = { username: 'admin', password: 'demo-region-1', name: '区域管理员', roles: ['region-admin'] }
let folder: string
let nats: ThrowAwayNats
let settings: HubSettings
let hub: RunningHub
let url: string
let token: string
const nodes = new Map<HospitalId, BareNode>()
const node = (hospitalId: HospitalId): BareNode => {
  const held = nodes.get(hospitalId)
  if (!held) throw new Error(`${hospitalId} has not joined`)
  return held
}
const soon = { timeout: 10_000, interval: 25 }

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hub-region-'))
  nats = await startThrowAwayNats()
  const config = {
    dir: join(folder, 'hub'),
    region: { id: regionId, name: '云岭区域影像网' },
    http: { port: await freePort() },
    nats: { url: nats.url, adminDir: nats.dir },
    heartbeatMs,
    logLevel: 'silent',
    identity: { secondFactor: 'optional' },
    accounts: [admin, { username: 'watch', password: 'demo-region-2', name: '值班', roles: ['observer'] }],
  }
  settings = settingsOf(HubConfig.parse(config), folder)
  await initAuthority({ dir: settings.dir, regionId, regionName: settings.region.name })
  hub = await startHub(settings, createLog({ name: 'hub', level: 'silent' }))
  url = `http://127.0.0.1:${hub.port}`
  token = await signIn(admin)
  for (const [id, kind] of [
    [A, ['submitter']],
    [B, ['submitter', 'processor']],
    [C, ['processor']],
  ] as const) {
    await register(id, kind)
    nodes.set(id, await joinNode(id))
  }
  await vi.waitFor(() => {
    for (const each of nodes.values()) {
      expect(each.link.status().state).toBe('connected')
      for (const other of nodes.keys()) expect(each.knows(other)).toBe(true)
    }
  }, soon)
})

afterAll(async () => {
  for (const each of nodes.values()) await each.stop()
  await hub.stop()
  await nats.stop()
  await rm(folder, { recursive: true, force: true })
})

async function signIn({ username, password }: { username: string; password: string }): Promise<string> {
  const answer = await call('POST', '/api/sessions', { username, password }, '')
  return z.object({ token: z.string() }).parse(answer.body).token
}

async function call(method: string, path: string, body?: unknown, bearer = token): Promise<{ status: number; body: unknown }> {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...(bearer === '' ? {} : { authorization: `Bearer ${bearer}` }) },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === '' ? undefined : JSON.parse(text) }
}

async function register(id: HospitalId, kinds: readonly string[]): Promise<void> {
  const config = { id, name: `医院 ${id}`, code: `code-${id}`, kinds, taskTypes: ['consultation'], flowModes: ['push', 'pull'] }
  expect((await call('POST', '/api/hospitals', config)).status).toBe(201)
}

async function joinNode(id: HospitalId): Promise<BareNode> {
  const { body } = await call('POST', `/api/hospitals/${id}/join-code`)
  return BareNode.join(url, JoinCode.parse(body), { regionId, folder, heartbeatMs })
}

const rows = async () => z.array(HospitalRow).parse((await call('GET', '/api/hospitals')).body)
const rowOf = async (id: HospitalId) => (await rows()).find((row) => row.id === id)
const refusals = async () => Page(RefusalRow).parse((await call('GET', '/api/refusals?limit=100')).body).rows
const taskOf = async (taskId: string) => TaskDetail.parse((await call('GET', `/api/tasks/${taskId}`)).body)

/** A submission as A's node makes it: grant signed by A, request sealed for those who may answer. */
function aSubmission(target: ConsultFacts['target'] = { kind: 'hospital', hospitalId: C }) {
  const from = node(A)
  const unsigned = someFacts({ target }, { owner: A, grantees: [B, C], expires: Date.now() + 3_600_000, studyInstanceUids: [study] })
  const facts = { ...unsigned, grant: { grant: unsigned.grant.grant, ...from.sign(unsigned.grant.grant) } }
  const readers = target.kind === 'pool' ? [B, C] : [target.hospitalId]
  const sealed = from.link.sealFor(
    readers.filter((id) => from.knows(id)),
    { question: '右上肺结节性质？' },
  )
  return aCommand('submit', { facts, sealed, at: Date.now() })
}

describe('a hub with real nodes', () => {
  it('shows nodes online by their heartbeats, with their operating facts', async () => {
    // FED-08, FED-04
    await vi.waitFor(async () => {
      for (const id of nodes.keys()) expect(await rowOf(id)).toMatchObject({ joined: true, online: true, studies: 7, instances: 420 })
    }, soon)
  })

  it('carries a consultation from the question to the reading, the same at both ends and in the console', async () => {
    // CON-01, CON-09, CON-18, AGT-06, AGT-07
    const seen: LiveEvent[] = []
    const stopWatching = await watchLive((event) => seen.push(event))
    const submit = aSubmission()
    const { taskId } = submit
    await node(A).command(submit)
    await vi.waitFor(() => expect(node(C).eventsOf(taskId)).toHaveLength(1), soon)
    const [offered] = node(C).eventsOf(taskId)
    expect(node(C).link.openSealed(offered?.sealed ?? '', { from: A })).toEqual({ question: '右上肺结节性质？' })

    await node(C).command(aCommand('claim', { taskId, expectedRevision: offered?.revision }))
    await node(C).command(aCommand('start', { taskId }))
    await node(C).command(aCommand('sign', { taskId, sealed: node(C).link.sealFor([A], { opinion: '考虑炎性结节' }) }))
    await vi.waitFor(() => expect(node(A).eventsOf(taskId).at(-1)?.type).toBe('signed'), soon)
    const sealed = node(A).eventsOf(taskId).at(-1)?.sealed ?? ''
    expect(node(A).link.openSealed(sealed, { from: C })).toEqual({ opinion: '考虑炎性结节' })
    await node(A).command(aCommand('return', { taskId, by: { ...anActor(A, 'agent'), agent: true } }))
    await node(A).command(aCommand('read', { taskId }))

    const course = ['submitted', 'claimed', 'started', 'signed', 'returned', 'read']
    await vi.waitFor(() => {
      for (const end of [A, C])
        expect(
          node(end)
            .eventsOf(taskId)
            .map(({ type }) => type),
        ).toEqual(course)
    }, soon)
    const shown = await taskOf(taskId)
    expect(shown).toMatchObject({ state: 'read', revision: 6, submitter: A, regionId, holder: { hospitalId: C, userId: 'wang' } })
    expect(shown.events.map(({ type, by, revision }) => [revision, type, by.hospitalId])).toEqual(
      course.map((type, n) => [n + 1, type, n >= 1 && n <= 3 ? C : A]),
    )
    expect(node(B).eventsOf(taskId)).toEqual([])
    expect(JSON.stringify(shown)).not.toContain('结节')
    await vi.waitFor(
      () => expect(seen.filter((event) => event.type === 'consult').map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5, 6]),
      soon,
    )
    stopWatching()
  })

  it('lets one of two experts who reach at once have it, and tells the other who, where and since when', async () => {
    // COR-14, COR-15
    const submit = aSubmission({ kind: 'pool' })
    const { taskId } = submit
    await node(A).command(submit)
    await vi.waitFor(() => expect(node(B).eventsOf(taskId).length + node(C).eventsOf(taskId).length).toBe(2), soon)
    const claims = new Map([
      [B, aCommand('claim', { taskId, by: anActor(B, 'zhao') })],
      [C, aCommand('claim', { taskId, by: anActor(C, 'wang') })],
    ])
    await Promise.all([...claims].map(([id, claim]) => node(id).command(claim)))
    await vi.waitFor(() => {
      for (const [id, claim] of claims) expect(node(id).answerTo(claim)).toBeDefined()
    }, soon)
    const answers = [...claims].map(([id, claim]) => node(id).answerTo(claim))
    expect(answers.map((answer) => answer?.outcome).sort()).toEqual(['accepted', 'refused'])
    const { holder } = await taskOf(taskId)
    const refused = answers.find((answer) => answer?.outcome === 'refused')
    expect(refused).toMatchObject({
      problem: { code: 'consult/held', facts: { by: { ...holder, hospitalName: `医院 ${holder?.hospitalId}` } } },
    })

    // CON-20
    await node(A).command(aCommand('cancel', { taskId, reason: '患者转院' }))
    await vi.waitFor(() => {
      for (const id of [A, B, C]) expect(node(id).eventsOf(taskId).at(-1)).toMatchObject({ type: 'cancelled', state: 'cancelled' })
    }, soon)
  })

  it('delivers what was decided while a node was cut off, once each and in order, and takes what that node had saved', async () => {
    // CON-18, AGT-06
    await nats.kill()
    const submits = [aSubmission(), aSubmission(), aSubmission()]
    for (const submit of submits) await node(A).command(submit)
    await nats.start()
    await vi.waitFor(() => {
      const arrived = node(C).events.filter(({ taskId }) => submits.some((submit) => submit.taskId === taskId))
      expect(arrived.map(({ taskId, revision }) => [taskId, revision])).toEqual(submits.map(({ taskId }) => [taskId, 1]))
    }, soon)
    for (const submit of submits) await vi.waitFor(() => expect(node(A).answerTo(submit)?.outcome).toBe('accepted'), soon)
  })

  it('refuses an unknown hospital, a forged grant and a wrong task type with coded answers, and goes on', async () => {
    // FED-13, SEC-11
    const toNowhere = aSubmission()
    Object.assign(toNowhere.facts, { target: { kind: 'hospital', hospitalId: hospital('nowhere') } })
    const forged = aSubmission()
    Object.assign(forged.facts.grant.grant, { expires: Date.now() + 999_999_999 })
    const review = aSubmission()
    Object.assign(review.facts, { taskType: 'review' })
    const expected = new Map([
      [toNowhere, 'region/unknown-hospital'],
      [forged, 'access/grant-invalid'],
      [review, 'region/task-type-disabled'],
    ])
    for (const command of expected.keys()) await node(A).command(command)
    for (const [command, code] of expected) {
      await vi.waitFor(() => expect(node(A).answerTo(command)).toMatchObject({ outcome: 'refused', problem: { code } }), soon)
    }
    expect((await refusals()).map(({ source, code }) => [source, code])).toEqual(
      expect.arrayContaining([...expected.values()].map((code) => [A, code])),
    )
    const good = aSubmission()
    await node(A).command(good)
    await vi.waitFor(() => expect(node(A).answerTo(good)?.outcome).toBe('accepted'), soon)
  })

  it('shows what nodes report and messages that it could not understand', async () => {
    await node(B).post(kinds.problemReport, { at: Date.now(), code: 'archive/out-of-space', facts: { freeBytes: 0 } })
    await node(B).post(kinds.consultCommand, { not: 'a command' })
    await vi.waitFor(async () => {
      const shown = (await refusals()).filter(({ source }) => source === B).map(({ code, title }) => [code, title])
      expect(shown).toContainEqual(['archive/out-of-space', '存储空间不足'])
      expect(shown).toContainEqual(['request/invalid', '请求内容不符合要求'])
    }, soon)
  })

  it('goes on after a restart with everything it had', async () => {
    const before = Page(TaskRow).parse((await call('GET', '/api/tasks?limit=100')).body)
    await hub.stop()
    const submit = aSubmission()
    await node(A).command(submit)
    hub = await startHub(settings, createLog({ name: 'hub', level: 'silent' }))
    await vi.waitFor(() => expect(node(A).answerTo(submit)?.outcome).toBe('accepted'), soon)
    token = await signIn(admin)
    const after = Page(TaskRow).parse((await call('GET', '/api/tasks?limit=100')).body)
    expect(after.total).toBe(before.total + 1)
    expect(after.rows.slice(1)).toEqual(before.rows)
  })

  it('cuts a revoked node off within seconds and refuses what it sends, until it joins again', async () => {
    // SEC-11
    expect((await call('POST', `/api/hospitals/${B}/revoke`, { reason: '设备失窃' })).status).toBe(200)
    await vi.waitFor(() => expect(node(B).link.status().state).toBe('refused'), soon)
    await vi.waitFor(() => expect(node(A).knows(B)).toBe(false), soon)
    expect(await rowOf(B)).toMatchObject({ revoked: true, joined: false, online: false })
    const toRevoked = aSubmission()
    Object.assign(toRevoked.facts, { target: { kind: 'hospital', hospitalId: B } })
    await node(A).command(toRevoked)
    await vi.waitFor(
      () =>
        expect(node(A).answerTo(toRevoked)).toMatchObject({ problem: { code: 'region/not-a-processor', facts: { reason: 'revoked' } } }),
      soon,
    )
    await node(B).stop()

    // Even if its credentials still worked, nothing it seals is opened; nor is what others put into its channel.
    const wire = await connect({ servers: nats.url, authenticator: credsAuthenticator(new TextEncoder().encode(nats.hubCredentials)) })
    const channel = subjects.toHub(regionId, B)
    wire.publish(channel, node(B).link.sealFor([HUB], { seq: 1, kind: kinds.problemReport, body: null }))
    wire.publish(channel, node(C).link.sealFor([HUB], { seq: 1, kind: kinds.problemReport, body: null }))
    wire.publish(channel, 'no envelope at all')
    await vi.waitFor(async () => {
      const codes = (await refusals()).filter(({ source }) => source === B).map(({ code }) => code)
      expect(codes).toEqual(expect.arrayContaining(['certificate/revoked', 'envelope/wrong-sender', 'envelope/malformed']))
    }, soon)
    await wire.close()

    nodes.set(B, await joinNode(B))
    await vi.waitFor(async () => expect(await rowOf(B)).toMatchObject({ joined: true, revoked: false, online: true }), soon)
    await vi.waitFor(() => expect(node(A).knows(B)).toBe(true), soon)
    const submit = aSubmission({ kind: 'hospital', hospitalId: B })
    await node(A).command(submit)
    await vi.waitFor(() => expect(node(B).eventsOf(submit.taskId)).toHaveLength(1), soon)
  })
})

describe('the HTTP face of the hub', () => {
  it('shows an observer everything and lets only the administrator change anything', async () => {
    const observer = await signIn({ username: 'watch', password: 'demo-region-2' })
    expect((await call('GET', '/api/hospitals', undefined, observer)).status).toBe(200)
    expect((await call('POST', `/api/hospitals/${A}/revoke`, { reason: 'x' }, observer)).status).toBe(403)
    expect((await call('GET', '/api/tasks', undefined, '')).status).toBe(401)
  })

  it('filters tasks, and answers a wrong filter, an unknown task and a wrong code with problems', async () => {
    // FED-20
    const filtered = Page(TaskRow).parse((await call('GET', `/api/tasks?submitter=${A}&processor=${C}&state=read&regionId=&limit=5`)).body)
    expect(filtered.rows.every(({ state }) => state === 'read') && filtered.total > 0).toBe(true)
    expect((await call('GET', '/api/tasks?regionId=elsewhere')).body).toEqual({ rows: [], total: 0, next: null })
    expect(await call('GET', '/api/tasks?state=nonsense')).toMatchObject({ status: 400, body: { code: 'request/invalid' } })
    expect(await call('GET', `/api/tasks/${crypto.randomUUID()}`)).toMatchObject({ status: 404, body: { code: 'consult/unknown-task' } })
    const join = { code: 'GUESSED-0123456789abcdef', csr: 'x', agentVersion: '1' }
    expect(await call('POST', '/api/join', join, '')).toMatchObject({ status: 403, body: { code: 'region/wrong-join-code' } })
  })

  it('describes itself, its region and its health without a login', async () => {
    expect((await call('GET', '/api/region', undefined, '')).body).toMatchObject({ regionId, natsUrl: nats.url, name: '云岭区域影像网' })
    expect((await call('GET', '/health', undefined, '')).body).toMatchObject({
      status: 'ok',
      checks: { database: { status: 'ok' }, link: { status: 'ok' } },
    })
    expect(JSON.stringify((await call('GET', '/openapi.json', undefined, '')).body)).toContain('/api/hospitals/{id}/join-code')
  })
})

/** Reads GET /api/events as the console does. */
async function watchLive(onEvent: (event: LiveEvent) => void): Promise<() => void> {
  const end = new AbortController()
  const response = await fetch(`${url}/api/events`, { headers: { authorization: `Bearer ${token}` }, signal: end.signal })
  expect(response.status).toBe(200)
  const text = response.body?.pipeThrough(new TextDecoderStream())
  if (!text) throw new Error('no event stream')
  const reading = (async () => {
    let rest = ''
    for await (const chunk of text) {
      const frames = (rest + chunk).split('\n\n')
      rest = frames.pop() ?? ''
      for (const frame of frames) {
        const data = frame.split('\n').find((line) => line.startsWith('data: '))
        if (data) onEvent(JSON.parse(data.slice(6)) as LiveEvent)
      }
    }
  })()
  reading.catch((error: unknown) => {
    if (!end.signal.aborted) throw error
  })
  return () => end.abort()
}
