import { setTimeout as delay } from 'node:timers/promises'
import { Problem } from 'specs'
import { z } from 'zod'
import type { Log } from '../log/index.ts'

/** `degraded`: something is missing, but whoever is served here is still served (no line to the hub, for instance). */
const HealthStatus = z.enum(['ok', 'degraded', 'failing'])
export const HealthReport = z.object({
  status: HealthStatus,
  name: z.string(),
  version: z.string(),
  startedAt: z.number(),
  checks: z.record(z.string(), z.looseObject({ status: HealthStatus })),
})
export type HealthReport = z.infer<typeof HealthReport>

/** Answers small facts for the report (never patient data), or throws. */
export type HealthCheck = () => Promise<Record<string, unknown> | void> | Record<string, unknown> | void

type CheckResult = { status: HealthReport['status'] } & Record<string, unknown>

const CHECK_TIMEOUT_MS = 3_000

/** The checks of one process (LOC-03). */
export class Health {
  readonly #checks = new Map<string, { check: HealthCheck; critical: boolean }>()
  readonly #about: { name: string; version: string; startedAt: number }
  readonly #log: Log
  #stopping = false

  constructor(about: { name: string; version: string }, log: Log) {
    this.#about = { name: about.name, version: about.version, startedAt: Date.now() }
    this.#log = log
  }

  /** @param options.critical Without it the process cannot serve, and an orchestrator should act; true unless told. */
  add(name: string, check: HealthCheck, options: { critical?: boolean } = {}): void {
    this.#checks.set(name, { check, critical: options.critical ?? true })
  }

  /** From now on every report says `failing`, whatever the checks say: whoever shares out requests passes this process by. */
  stop(): void {
    this.#stopping = true
  }

  get isStopping(): boolean {
    return this.#stopping
  }

  async report(): Promise<HealthReport> {
    const entries = await Promise.all(
      [...this.#checks].map(async ([name, { check, critical }]): Promise<[string, CheckResult]> => [name, await this.#run(name, check, critical)]),
    )
    if (this.#stopping) entries.push(['process', { status: 'failing', code: 'service/unavailable', stopping: true }])
    const statuses = entries.map(([, { status }]) => status)
    const status = statuses.includes('failing') ? 'failing' : statuses.includes('degraded') ? 'degraded' : 'ok'
    return { status, ...this.#about, checks: Object.fromEntries(entries) }
  }

  async #run(name: string, check: HealthCheck, critical: boolean): Promise<CheckResult> {
    const timeout = new AbortController()
    try {
      const facts = await Promise.race([
        check(),
        delay(CHECK_TIMEOUT_MS, undefined, { signal: timeout.signal }).then(() =>
          Promise.reject(new Error(`no answer in ${CHECK_TIMEOUT_MS} ms`)),
        ),
      ])
      return { ...facts, status: 'ok' }
    } catch (error) {
      this.#log.warn({ err: error, check: name }, 'health check failed')
      // The page is public: a code, not the text of an error.
      return { status: critical ? 'failing' : 'degraded', code: error instanceof Problem ? error.code : 'service/unavailable' }
    } finally {
      timeout.abort()
    }
  }
}
