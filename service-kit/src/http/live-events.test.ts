import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { administrator, aService, doctor, signIn, type TestService } from '../../tests/support/service.ts'

/** What a page's EventSource would see. */
async function listenTo(url: string, headers: Record<string, string>) {
  const gone = new AbortController()
  const response = await fetch(`${url}/api/events`, { headers, signal: gone.signal })
  const seen = { status: response.status, type: response.headers.get('content-type'), text: '', ended: false }
  const reading = (async () => {
    try {
      for await (const chunk of response.body ?? []) seen.text += new TextDecoder().decode(chunk)
    } catch (error) {
      if (!gone.signal.aborted && !(error instanceof TypeError)) throw error // TypeError: the server cut the stream
    }
    seen.ended = true
  })()
  const ids = () => [...seen.text.matchAll(/^id: (.+)$/gm)].map(([, id]) => id ?? '')
  const events = () => [...seen.text.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? '') as unknown)
  return { seen, ids, events, leave: () => (gone.abort(), reading) }
}

describe('live events', () => {
  let service: TestService
  let url: string
  beforeAll(async () => {
    service = await aService({ face: { events: { heartbeatMs: 100, kept: 5, maxWaitingBytes: 64 * 1024 } } })
    url = await service.start()
  })
  afterAll(() => service.stop())

  const exam = (examId: string) => ({ type: 'exam', examId }) as const

  it('reach the pages of those whom they concern, without reload', async () => {
    const wang = await listenTo(url, (await signIn(url, doctor)).bearer)
    const admin = await listenTo(url, { Cookie: (await signIn(url, administrator)).cookie })
    expect([wang.seen.status, wang.seen.type]).toEqual([200, 'text/event-stream; charset=utf-8'])
    service.face.events.publish(exam('e1'))
    service.face.events.publish(exam('e2'), (user) => user.roles.includes('admin'))
    await expect.poll(() => admin.events()).toEqual([exam('e1'), exam('e2')])
    await expect.poll(() => wang.events()).toEqual([exam('e1')])
    await wang.leave()
    await admin.leave()
    await expect.poll(() => service.face.events.streamCount).toBe(0)
  })

  it('are refused without a sign-in', async () => {
    expect((await fetch(`${url}/api/events`)).status).toBe(401)
  })

  it('are made up for after a short break, and asked to be reloaded after a long one', async () => {
    const { bearer } = await signIn(url, doctor)
    const before = await listenTo(url, bearer)
    service.face.events.publish(exam('a'))
    await expect.poll(() => before.ids()).toHaveLength(1)
    await before.leave()
    const [last = ''] = before.ids()
    for (const id of ['b', 'c']) service.face.events.publish(exam(id))
    const soon = await listenTo(url, { ...bearer, 'Last-Event-ID': last })
    await expect.poll(() => soon.events()).toEqual([exam('b'), exam('c')])
    for (const id of ['d', 'e', 'f', 'g']) service.face.events.publish(exam(id))
    const late = await listenTo(url, { ...bearer, 'Last-Event-ID': last })
    await expect.poll(() => late.seen.text).toContain('event: resync')
    expect(late.events()).toEqual([{}])
    const stranger = await listenTo(url, { ...bearer, 'Last-Event-ID': 'otherrun-3' })
    await expect.poll(() => stranger.seen.text).toContain('event: resync')
    for (const page of [soon, late, stranger]) await page.leave()
  })

  it('beat in silence, so that a proxy does not cut the line', async () => {
    const page = await listenTo(url, (await signIn(url, doctor)).bearer)
    await expect.poll(() => page.seen.text).toMatch(/^: $/m)
    await page.leave()
  })

  it('end at once when the session is ended or the account disabled', async () => {
    // SEC-11
    const session = await signIn(url, doctor)
    const page = await listenTo(url, session.bearer)
    const [account] = await service.accounts.people.list({ text: doctor.username })
    await service.accounts.people.disable(undefined, account?.id ?? '', '离职')
    await expect.poll(() => page.seen.ended).toBe(true)
    expect((await fetch(`${url}/api/events`, { headers: session.bearer })).status).toBe(401)
    await service.accounts.people.enable(account?.id ?? '')
  })

  it('do not pile up for a page that does not read', async () => {
    const { token } = await signIn(url, doctor)
    const { hostname, port } = new URL(url)
    const socket = connect(Number(port), hostname)
    socket.pause()
    socket.on('error', () => socket.destroy())
    socket.write(`GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`)
    await expect.poll(() => service.face.events.streamCount).toBe(1)
    const padding = 'x'.repeat(50_000)
    for (let i = 0; i < 400 && service.face.events.streamCount > 0; i++) {
      service.face.events.publish(exam(padding))
      await delay(1)
    }
    expect(service.face.events.streamCount).toBe(0)
    socket.destroy()
  })
})
