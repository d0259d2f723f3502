import type { AuditTrail, Database, Log, Transaction } from 'service-kit'
import { isProblemCode, type AcquisitionRun, type EpochMs, type PriorSelection, type RetrieveMethod, type RoutingAction, type RoutingRule, type StudyInstanceUid } from 'specs'
import type { Archive, StudyRow } from '../archive/archive.ts'
import type { AskedCommitment } from '../commitment/commitments.ts'
import { listNodes, type RegisteredNode } from '../dicom-node/store.ts'
import { findExam } from '../exam/store.ts'
import { nextOpening } from '../schedule/time-window.ts'
import { type Forward, type ForwardJob, wasSentTo } from './forward-store.ts'
import type { Forwarder } from './forwarder.ts'
import { whyNotMatched, withoutSenders, type RoutingSubject } from './match-rule.ts'
import { choosePriors } from './priors.ts'
import { QuietStudies, type QuietStudy } from './quiet-studies.ts'
import { forgetOld, note, type Decision } from './routing-log.ts'
import { listRules } from './rule-store.ts'
import { sourcesOf, studiesOfPatient, subjectOfExam, subjectOfStudy } from './subjects.ts'

/** Earlier studies of a patient, to be asked for at an older PACS. */
export interface PriorsWanted {
  readonly ruleId: string
  readonly ruleName: string
  readonly sourceNodeId: string
  readonly method: RetrieveMethod
  readonly select: PriorSelection
  readonly subject: RoutingSubject
}

export interface RouterParts {
  readonly db: Database
  readonly log: Log
  readonly audit: AuditTrail
  readonly archive: Archive
  readonly forwarder: () => Forwarder
  /** Puts the wish into the queue of active acquisition, in the caller's transaction. */
  readonly wantPriors: (tx: Transaction, wanted: PriorsWanted) => Promise<void>
  /** Asks a node whether it answers for what it was sent, in the caller's transaction. */
  readonly askCommitment?: (tx: Transaction, asked: AskedCommitment) => Promise<string>
  /** Whether we have fetched the study ourselves: then it is an old one, and no new exam. */
  readonly wasFetched: (studyInstanceUid: string) => Promise<boolean>
  /** Something that the pages show has changed. */
  readonly onChange?: (ruleId: string) => void
  readonly now?: () => EpochMs
  readonly tickMs?: number
}

/** What a rule does with one subject: orders and words for the log, saved together. */
export interface Plan {
  readonly rule: RoutingRule
  readonly subject: RoutingSubject
  readonly orders: readonly { readonly studyInstanceUid: string; readonly node: RegisteredNode }[]
  readonly back: readonly RegisteredNode[]
  readonly isEcho: boolean
  readonly wants: PriorsWanted | undefined
}

/** Exams that came while nobody ran are looked at again for this long. */
const CATCH_UP_MS = 7 * 86_400_000

/**
 * 自动路由 and 影像预取 (ARC-17): asks every rule about studies that have become quiet and about new exams, and puts what they say into the
 * queue of the forwarder or of active acquisition. Decision, order and log entry are one transaction; a restart asks again what had not been asked.
 */
export class Router {
  readonly #parts: RouterParts
  readonly #now: () => EpochMs
  readonly #quiet: QuietStudies
  #rules: readonly RoutingRule[] = []
  #timer: ReturnType<typeof setInterval> | undefined
  #working: Promise<void> = Promise.resolve()
  #stopListening: () => void = () => undefined

  constructor(parts: RouterParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#quiet = new QuietStudies({ db: parts.db, log: parts.log, now: this.#now })
  }

  async start(): Promise<void> {
    await this.reload()
    await this.#quiet.load()
    this.#stopListening = this.#parts.archive.onStored((event) => {
      if (this.#enabled('study-received').length > 0) this.#quiet.note(event)
    })
    this.#timer = setInterval(() => this.#soon(() => this.#tick()), this.#parts.tickMs ?? 500)
    this.#timer.unref()
    this.#soon(() => this.#catchUp())
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#stopListening()
    await this.#working
    await this.#quiet.save(true)
  }

  /** Rules have been changed. The first one about new exams counts for exams from now on. */
  async reload(): Promise<void> {
    const { db } = this.#parts
    const before = this.#enabled('exam-new').length
    this.#rules = await listRules(db)
    await forgetOld(db, this.#now())
    if (this.#enabled('exam-new').length === 0) await db.run(`DELETE FROM routing_mark WHERE name = 'exam-new'`)
    else if (before === 0) await db.run(`INSERT INTO routing_mark (name, at) VALUES ('exam-new', $1) ON CONFLICT (name) DO NOTHING`, [this.#now()])
  }

  /** An exam was made or changed. */
  examChanged(examId: string): void {
    if (this.#enabled('exam-new').length > 0) this.#soon(() => this.#judgeExam(examId))
  }

  /** When a job of the queue may go by its rule; a rule that is gone or switched off no longer holds it back. */
  mayRunAt(job: ForwardJob): EpochMs {
    const rule = this.#rules.find(({ id }) => id === job.ruleId)
    return rule ? nextOpening(rule.windows, this.#now()) : this.#now()
  }

  /** A delivery has ended. */
  delivered(job: ForwardJob, row: Forward): void {
    const { db, audit, log, onChange } = this.#parts
    const failed = row.state === 'failed'
    const code = row.problem && isProblemCode(row.problem.code) ? { code: row.problem.code } : {}
    const facts = { destination: row.aeTitle, instances: row.instancesDone, ...code }
    audit.note({ action: 'transfer.forward', outcome: failed ? 'failed' : 'success', actor: { kind: 'system', id: 'routing' }, object: { type: 'study', id: job.studyInstanceUid }, ...code, facts })
    if (!failed) this.#soon(() => this.#askCommitment(job, row))
    note(db, { ruleId: job.ruleId, ruleName: row.ruleName ?? '', event: 'delivery', studyInstanceUid: job.studyInstanceUid, outcome: failed ? 'failed' : 'delivered', facts }, this.#now())
      .then(() => onChange?.(job.ruleId ?? ''))
      .catch((error: unknown) => log.warn({ err: error }, 'delivery not logged'))
  }

  async #askCommitment(job: ForwardJob, row: Forward): Promise<void> {
    const { db, archive, askCommitment } = this.#parts
    const rule = this.#rules.find(({ id }) => id === job.ruleId)
    if (!askCommitment || rule?.action.kind !== 'send' || !rule.action.commitment) return
    const manifest = await archive.manifest(job.studyInstanceUid as StudyInstanceUid)
    const instances = manifest.filter(({ modality }) => job.seriesModalities?.includes(modality) ?? true).map(({ sopClassUid, sopInstanceUid }) => ({ sopClassUid, sopInstanceUid }))
    if (instances.length > 0) await db.write((tx) => askCommitment(tx, { nodeId: job.nodeId, aeTitle: row.aeTitle, instances, subject: row.id }))
  }

  /** What a rule wanted from an older PACS has come, or has not. */
  async priorsFetched(wants: PriorsWanted | null, { studies, complete, instancesFetched, aeTitle, problem, state }: AcquisitionRun): Promise<void> {
    if (!wants) return
    const { db, log, onChange } = this.#parts
    const facts = { source: aeTitle, studies, complete, instances: instancesFetched, ...(problem && { code: problem.code }) }
    const failed = state === 'failed' || state === 'partial'
    try {
      await note(db, { ruleId: wants.ruleId, ruleName: wants.ruleName, event: 'prefetch', studyInstanceUid: wants.subject.studyInstanceUid, outcome: failed ? 'failed' : 'fetched', facts }, this.#now())
      onChange?.(wants.ruleId)
    } catch (error) {
      log.warn({ err: error }, 'prefetch not logged')
    }
  }

  /** What one rule would do with a study that is here. */
  async tryOn(rule: RoutingRule, study: StudyRow): Promise<{ because: string | undefined; plan: Plan | undefined; priors: number }> {
    const subject = { ...(await subjectOfStudy(this.#parts.db, study, await sourcesOf(this.#parts.archive, study.studyInstanceUid))), event: rule.event }
    const because = whyNotMatched(rule.when, subject)
    if (because !== undefined) return { because, plan: undefined, priors: 0 }
    const plan = await this.#plan(rule, subject)
    const priors = rule.action.kind === 'send' ? 0 : (await this.#priorsHere(subject, rule.action.select)).length
    return { because: undefined, plan, priors }
  }

  #enabled(event: RoutingRule['event']): RoutingRule[] {
    return this.#rules.filter((rule) => rule.enabled && rule.event === event)
  }

  #soon(work: () => Promise<void>): void {
    this.#working = this.#working.then(work).catch((error: unknown) => this.#parts.log.error({ err: error }, 'routing failed'))
  }

  async #tick(): Promise<void> {
    if (this.#quiet.isEmpty) return
    await this.#quiet.save()
    const rules = this.#enabled('study-received')
    const longest = Math.max(0, ...rules.map(({ quietSeconds }) => quietSeconds))
    for (const study of this.#quiet.all()) {
      const quietMs = this.#now() - study.lastAt
      for (const rule of rules) if (quietMs >= rule.quietSeconds * 1_000) await this.#judgeStudy(rule, study)
      if (quietMs >= longest * 1_000) await this.#allJudged(study)
    }
  }

  async #judgeStudy(rule: RoutingRule, { studyInstanceUid, sources, hasNew, lastAt }: QuietStudy): Promise<void> {
    const { db, archive } = this.#parts
    const judged = await db.get<{ lastAt: EpochMs }>('SELECT last_at AS "lastAt" FROM routing_judged WHERE rule_id = $1 AND subject = $2', [rule.id, studyInstanceUid])
    if (judged && judged.lastAt >= lastAt) return
    const study = await archive.study(studyInstanceUid as StudyInstanceUid)
    const plan = study && (await this.#planIfMatched(rule, await subjectOfStudy(db, study, sources, hasNew)))
    await db.write(async (tx) => {
      if (plan) await this.#carryOut(tx, plan)
      await tx.run('INSERT INTO routing_judged (rule_id, subject, last_at) VALUES ($1, $2, $3) ON CONFLICT (rule_id, subject) DO UPDATE SET last_at = $3', [rule.id, studyInstanceUid, lastAt])
    })
  }

  async #allJudged(study: QuietStudy): Promise<void> {
    await this.#quiet.done(study)
    await this.#parts.db.run('DELETE FROM routing_judged WHERE subject = $1', [study.studyInstanceUid])
  }

  async #catchUp(): Promise<void> {
    const { db } = this.#parts
    const mark = await db.get<{ at: EpochMs }>(`SELECT at FROM routing_mark WHERE name = 'exam-new'`)
    if (!mark) return
    const since = Math.max(mark.at, this.#now() - CATCH_UP_MS)
    const missed = await db.all<{ examId: string }>(
      `SELECT e.exam_id AS "examId" FROM exam e LEFT JOIN routing_exam r ON r.exam_id = e.exam_id WHERE e.received_at >= $1 AND r.exam_id IS NULL ORDER BY e.received_at LIMIT 10000`,
      [since],
    )
    for (const { examId } of missed) await this.#judgeExam(examId)
  }

  async #judgeExam(examId: string): Promise<void> {
    const { db, archive, wasFetched } = this.#parts
    if (await db.get('SELECT exam_id FROM routing_exam WHERE exam_id = $1', [examId])) return
    const [exam, mark] = [await findExam(db, examId), await db.get<{ at: EpochMs }>(`SELECT at FROM routing_mark WHERE name = 'exam-new'`)]
    if (!exam || !mark || exam.receivedAt < mark.at) return
    const study = exam.studyInstanceUid
    const isOld = study !== null && (await wasFetched(study))
    const plans: Plan[] = []
    if (!isOld) {
      const subject = subjectOfExam(exam, study === null ? [] : await sourcesOf(archive, study))
      for (const rule of this.#enabled('exam-new')) {
        const plan = await this.#planIfMatched(rule, subject)
        if (plan) plans.push(plan)
      }
    }
    await db.write(async (tx) => {
      const isFirst = (await tx.run('INSERT INTO routing_exam (exam_id, seen_at) VALUES ($1, $2) ON CONFLICT (exam_id) DO NOTHING', [examId, this.#now()])) === 1
      if (isFirst) for (const plan of plans) await this.#carryOut(tx, plan)
    })
  }

  async #planIfMatched(rule: RoutingRule, subject: RoutingSubject): Promise<Plan | undefined> {
    return whyNotMatched(rule.when, subject) === undefined ? this.#plan(rule, subject) : undefined
  }

  async #plan(rule: RoutingRule, subject: RoutingSubject): Promise<Plan> {
    const { db } = this.#parts
    const { action } = rule
    const none = { rule, subject, orders: [], back: [], isEcho: false, wants: undefined }
    if (action.kind === 'fetch-priors')
      return { ...none, wants: { ruleId: rule.id, ruleName: rule.name, sourceNodeId: action.sourceNodeId, method: action.method, select: action.select, subject } }
    const nodes = (await listNodes(db)).filter(({ id }) => action.nodeIds.includes(id))
    if (action.kind === 'send-priors') {
      const priors = await this.#priorsHere(subject, action.select)
      return { ...none, orders: priors.flatMap(({ studyInstanceUid }) => nodes.map((node) => ({ studyInstanceUid, node }))) }
    }
    const { studyInstanceUid } = subject
    if (studyInstanceUid === null) return none
    // What we have sent somewhere and comes back from there changed is our own: it goes no further. What a workstation adds does.
    if (!subject.hasNew && (await wasSentTo(db, studyInstanceUid, subject.sources))) return { ...none, isEcho: true }
    const { to, back } = withoutSenders(nodes, subject.sources)
    return { ...none, orders: to.map((node) => ({ studyInstanceUid, node })), back }
  }

  async #priorsHere(subject: RoutingSubject, select: PriorSelection) {
    return choosePriors(subject, await studiesOfPatient(this.#parts.archive, subject.patientId), select, localDate(this.#now()))
  }

  async #carryOut(tx: Transaction, plan: Plan): Promise<void> {
    const { rule, subject, orders, back, isEcho, wants } = plan
    const now = this.#now()
    const about = { ruleId: rule.id, ruleName: rule.name, event: subject.event, studyInstanceUid: subject.studyInstanceUid }
    const tell = (outcome: Decision['outcome'], facts: Record<string, unknown>) => note(tx, { ...about, outcome, facts: { because: becauseOf(rule), ...facts } }, now)
    for (const { studyInstanceUid, node } of orders)
      await this.#parts.forwarder().order(tx, {
        studyInstanceUid,
        nodeId: node.id,
        kept: 'in-hospital',
        ruleId: rule.id,
        priority: rule.priority,
        seriesModalities: seriesOf(rule.action),
        giveUpAt: rule.giveUpHours === null ? null : now + rule.giveUpHours * 3_600_000,
        dueAt: nextOpening(rule.windows, now),
      })
    if (wants) {
      await this.#parts.wantPriors(tx, wants)
      await tell('asked', { sourceNodeId: wants.sourceNodeId })
    }
    if (isEcho) await tell('loop', { sources: subject.sources })
    if (back.length > 0) await tell('loop', { notBackTo: back.map(({ aeTitle }) => aeTitle) })
    if (orders.length > 0) await tell('queued', { to: [...new Set(orders.map(({ node }) => node.aeTitle))], studies: new Set(orders.map(({ studyInstanceUid }) => studyInstanceUid)).size })
    else if (!wants && !isEcho && back.length === 0) await tell('nothing', {})
    tx.afterCommit(() => this.#parts.onChange?.(rule.id))
  }
}

const seriesOf = (action: RoutingAction): readonly string[] | undefined => (action.kind === 'send' && action.seriesModalities.length > 0 ? action.seriesModalities : undefined)

/** The conditions that were set, as the log shows them. */
const becauseOf = ({ when }: RoutingRule): Record<string, unknown> => Object.fromEntries(Object.entries(when).filter(([, wanted]) => wanted.length > 0))

/** YYYYMMDD by the clock of the hospital. */
export function localDate(at: EpochMs): string {
  const day = new Date(at)
  return `${day.getFullYear()}${String(day.getMonth() + 1).padStart(2, '0')}${String(day.getDate()).padStart(2, '0')}`
}
