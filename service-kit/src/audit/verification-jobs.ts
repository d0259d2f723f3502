import { randomUUID } from 'node:crypto'
import { Problem, type VerificationRow } from 'specs'
import type { Trail } from './trail.ts'
import { verifyTrail } from './verify.ts'
import type { Witness } from './witness-file.ts'

export interface VerificationInput {
  readonly startedBy: string
  readonly witnesses: readonly Witness[]
  readonly rootPems?: readonly string[]
}

interface Stored extends Omit<VerificationRow, 'findings'> {
  readonly findings: string
}

const COLUMNS = `id, started_at AS "startedAt", ended_at AS "endedAt", started_by AS "startedBy", state, records, total, findings`
/** Results older than the last this many go. */
const KEPT = 100
const PROGRESS_MS = 500

/** Verifications asked for on the pages: one at a time in a process, with progress, kept with their result. */
export class VerificationJobs {
  readonly #trail: Trail
  #running: { id: string; stop: AbortController; end: Promise<void> } | undefined

  constructor(trail: Trail) {
    this.#trail = trail
  }

  /** @throws {Problem} request/conflict while another runs. */
  async start(input: VerificationInput): Promise<VerificationRow> {
    if (this.#running) throw new Problem('request/conflict', { running: this.#running.id })
    const { db, now } = this.#trail
    const id = randomUUID()
    const stop = new AbortController()
    this.#running = { id, stop, end: Promise.resolve() }
    try {
      await db.run(`INSERT INTO audit_verification (id, started_at, state, started_by, records, total, findings) VALUES ($1, $2, 'running', $3, 0, 0, '[]')`, [id, now(), input.startedBy])
    } catch (error) {
      this.#running = undefined // or nobody could start one until the next restart
      throw error
    }
    this.#running.end = this.#run(id, input, stop.signal).finally(() => (this.#running = undefined))
    return this.read(id)
  }

  async #run(id: string, input: VerificationInput, signal: AbortSignal): Promise<void> {
    const { db, now, log } = this.#trail
    let told = 0
    const onProgress = (done: number, total: number) => {
      if (Date.now() - told < PROGRESS_MS) return
      told = Date.now()
      db.run('UPDATE audit_verification SET records = $2, total = $3 WHERE id = $1', [id, done, total]).catch(() => undefined) // the next one tells
    }
    try {
      await this.#trail.settle()
      const { records, findings } = await verifyTrail(db, { ...input, ...(await this.#trail.proof()), onProgress, signal })
      const state = findings.length === 0 ? 'whole' : 'findings'
      await db.run('UPDATE audit_verification SET state = $2, ended_at = $3, records = $4, total = $4, findings = $5 WHERE id = $1', [id, state, now(), records, JSON.stringify(findings)])
      const facts = { records, findings: findings.length, witnesses: input.witnesses.length }
      this.#trail.note({ action: 'audit.verify', outcome: findings.length === 0 ? 'success' : 'failed', object: { type: 'audit', id: this.#trail.party }, facts })
    } catch (error) {
      log.error({ err: error }, 'the audit trail could not be verified')
      await db.run(`UPDATE audit_verification SET state = 'failed', ended_at = $2 WHERE id = $1`, [id, now()]).catch(() => undefined)
    }
    await db.run(`DELETE FROM audit_verification WHERE id NOT IN (SELECT id FROM audit_verification ORDER BY started_at DESC LIMIT ${KEPT})`).catch(() => undefined)
  }

  /** @throws {Problem} request/not-found */
  async read(id: string): Promise<VerificationRow> {
    const row = await this.#trail.db.get<Stored>(`SELECT ${COLUMNS} FROM audit_verification WHERE id = $1`, [id])
    if (row === undefined) throw new Problem('request/not-found', { id })
    return rowOf(row)
  }

  async list(): Promise<VerificationRow[]> {
    const rows = await this.#trail.db.all<Stored>(`SELECT ${COLUMNS} FROM audit_verification ORDER BY started_at DESC LIMIT ${KEPT}`)
    return rows.map(rowOf)
  }

  /** Ends the one that runs; its state becomes `failed`. */
  async cancel(id: string): Promise<void> {
    if (this.#running?.id !== id) throw new Problem('request/not-found', { id })
    this.#running.stop.abort()
    await this.#running.end
  }

  async close(): Promise<void> {
    this.#running?.stop.abort()
    await this.#running?.end
  }
}

const rowOf = (row: Stored): VerificationRow => ({ ...row, findings: JSON.parse(row.findings) as VerificationRow['findings'] })
