import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import type { ServedInstance } from './dicom-folder.ts'

/** Answers of a node's JSON API for one consultation, kept in memory: what the viewer needs before a node runs. */
export class CannedNode {
  readonly taskId = randomUUID()
  readonly study: string
  readonly #instances: readonly ServedInstance[]
  readonly #streams = new Set<ServerResponse>()
  #signedIn = false
  #state = 'submitted'
  #revision = 1
  #holder: object | null = null
  #events: object[] = []
  #draft = { findings: '', opinion: '', advice: '', keyImages: [] as object[], savedAt: null as number | null, revision: 0 }
  #opinion: object | null = null
  /** The same task as the submitting hospital sees it. */
  side: 'processor' | 'submitter' = 'processor'

  constructor(instances: readonly ServedInstance[], study: string) {
    this.#instances = instances
    this.study = study
    this.#record('submitted', { hospitalId: 'hospital-a', userId: 'wang', name: '王建国', title: '主治医师' })
  }

  get draft(): { readonly opinion: string; readonly keyImages: readonly object[] } {
    return this.#draft
  }

  get state(): string {
    return this.#state
  }

  async answer(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const method = request.method ?? 'GET'
    if (method !== 'GET' && request.headers['x-requested-with'] !== 'lianpian')
      return send(response, 403, problem('access/forbidden', '没有权限'))
    if (path === '/api/sessions' && method === 'POST') {
      const { password } = (await bodyOf(request)) as { password?: string }
      if (password !== 'demo-Pass-1') return send(response, 401, problem('access/wrong-credentials', '用户名或密码错误'))
      this.#signedIn = true
      return send(response, 201, { token: 't', ...session })
    }
    if (!this.#signedIn) return send(response, 401, problem('access/not-signed-in', '请先登录'))
    if (path === '/api/sessions/current') return send(response, 200, session)
    if (path === '/api/events') return this.#stream(response)
    if (path.startsWith('/api/exams/by-study/')) return send(response, 404, problem('exam/unknown', '没有该检查'))
    if (path === '/api/signing-key') return send(response, 200, { by: 'person', secretNeeded: true, secretIsNew: false, unlockedUntil: null, certificate: null })
    const [, taskId, verb] = /^\/api\/consults\/([^/]+)(?:\/(\w+))?$/.exec(path) ?? []
    if (taskId !== this.taskId) return send(response, 404, problem('consult/unknown-task', '没有这个会诊'))
    if (verb === undefined) return send(response, 200, this.#detail())
    if (verb === 'exam') return send(response, 200, { exam: exam(), source: 'live', at: Date.now() })
    if (verb === 'draft' && method === 'GET') return send(response, 200, this.#draft)
    const body = (await bodyOf(request)) as Record<string, never>
    if (verb === 'draft') {
      const { revision: _revision, ...text } = body
      this.#draft = { ...this.#draft, ...text, savedAt: Date.now(), revision: this.#draft.revision + 1 }
      return send(response, 200, this.#draft)
    }
    this.#command(verb, body)
    send(response, 202, this.#detail())
  }

  #command(verb: string, body: Record<string, unknown>): void {
    const li = { hospitalId: 'hospital-c', userId: 'li', name: '李明远', title: '主任医师' }
    if (verb === 'claim') {
      this.#holder = { ...li, since: Date.now() }
      this.#record('claimed', li, 'accepted')
    } else if (verb === 'start') this.#record('started', li, 'started')
    else if (verb === 'release') {
      this.#holder = null
      this.#record('released', li, 'submitted')
    } else if (verb === 'sign') {
      const opinion = body['opinion'] as object
      this.#opinion = {
        kind: 'opinion',
        signature: 'MEQ=',
        certificateChain: ['pem'],
        text: { ...opinion, opinionId: randomUUID(), taskId: this.taskId, signer: li, signedAt: Date.now() },
      }
      this.#record('signed', li, 'signed')
    } else if (verb === 'read') this.#record('read', { hospitalId: 'hospital-a', userId: 'wang', name: '王建国' }, 'read')
  }

  #record(type: string, by: object, state = this.#state): void {
    this.#state = state
    this.#revision = this.#events.length + 1
    this.#events.push({
      taskId: this.taskId,
      revision: this.#revision,
      type,
      commandId: randomUUID(),
      by,
      at: Date.now(),
      sequencedAt: Date.now(),
      submitter: 'hospital-a',
      state,
    })
    for (const stream of this.#streams)
      stream.write(`event: consult\ndata: ${JSON.stringify({ type: 'consult', taskId: this.taskId, state, revision: this.#revision })}\n\n`)
  }

  #stream(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' }).write(': open\n\n')
    this.#streams.add(response)
    response.on('close', () => this.#streams.delete(response))
  }

  #detail(): object {
    const own = this.#instances.filter((instance) => instance.study === this.study)
    return {
      taskId: this.taskId,
      regionId: 'yunling',
      side: this.side,
      submitter: 'hospital-a',
      submitterName: '云溪县人民医院',
      state: this.#state,
      revision: this.#revision,
      holder: this.#holder,
      facts: {
        taskType: 'consultation',
        mode: 'push',
        target: { kind: 'hospital', hospitalId: 'hospital-c' },
        imagesTo: 'processor',
        modality: 'CT',
        bodyPart: 'CHEST',
        urgency: 'urgent',
        patientLabel: '张*',
        studyInstanceUids: [this.study],
        instanceCount: own.length,
        sizeBytes: 1,
      },
      patientName: '张秀英',
      question,
      examId: null,
      appliedAt: Date.now() - 600_000,
      updatedAt: Date.now(),
      images: { held: own.length, total: own.length, state: 'complete' },
      pending: null,
      problem: null,
      request: {
        kind: 'consult-request',
        taskId: this.taskId,
        question,
        exam: exam(),
        studies: [{ studyInstanceUid: this.study, instanceCount: own.length, sizeBytes: 1 }],
      },
      opinion: this.#opinion,
      opinionValid: this.#opinion ? true : null,
      opinionCertificate: null,
      keyImageSeriesInstanceUid: null,
      events: this.#events,
      hospitalNames: { 'hospital-a': '云溪县人民医院', 'hospital-c': '澄江省立医院' },
    }
  }
}

const session = {
  user: { id: 'li', username: 'li', name: '李明远', title: '主任医师', roles: ['expert'], rights: ['exam.list', 'exam.read', 'image.view', 'consult.process'] },
  hospital: { id: 'hospital-c', name: '澄江省立医院' },
}
const question = '右肺下叶结节，请评估性质及随访建议。'
const exam = (): object => ({
  hospitalId: 'hospital-a',
  accessionNumber: 'YX20261121003',
  patient: { id: 'YX-0314', name: '张秀英', sex: 'F', birthDate: '1957-04-11', age: '069Y' },
  modality: 'CT',
  bodyPart: '胸部',
  description: '胸部 CT 平扫',
  studyDate: '2026-11-21',
  studyTime: '09:12',
  clinicalHistory: '体检发现右肺下叶结节 2 周，无咳嗽、咯血。吸烟史 30 年，已戒 5 年。',
  reportFindings: '右肺下叶背段见一结节影，边缘欠光整。',
  reportImpression: '右肺下叶结节，建议进一步检查。',
  updatedAt: Date.now(),
})
const problem = (code: string, title: string): object => ({ type: `urn:lianpian:problem:${code}`, code, title, titleEn: code })

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' }).end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const parts: Uint8Array[] = []
  for await (const part of request) parts.push(part as Uint8Array)
  return parts.length === 0 ? {} : JSON.parse(new TextDecoder().decode(new Uint8Array(parts.flatMap((part) => [...part]))))
}
