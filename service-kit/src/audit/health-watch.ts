import { isProblemCode, type AuditEvent, type HealthChange } from 'specs'
import type { HttpFace } from '../http/index.ts'
import type { Trail } from './trail.ts'

export interface HealthWatchParts {
  readonly face: Pick<HttpFace, 'health'>
  readonly trail: Trail
  /** Tells the region; a node without a region has nobody to tell. */
  readonly onChange?: (change: HealthChange) => void
  readonly everyMs?: number
}

/** A clock that moved by more than this was set by somebody, or by something. */
const CLOCK_JUMP_MS = 5_000

/**
 * Turns what /health says into records (FED-28): a component that stops working, and its return, each with time, operation and cause. Notices a clock
 * that was set, because the order of events is told by it, and a process that ended without saying so.
 */
export class HealthWatch {
  readonly #parts: HealthWatchParts
  readonly #status = new Map<string, string>()
  #timer: NodeJS.Timeout | undefined
  #clock = { wall: 0, steady: 0 }
  #looking: Promise<void> | undefined

  constructor(parts: HealthWatchParts) {
    this.#parts = parts
  }

  async start(): Promise<void> {
    const { trail, everyMs = 10_000 } = this.#parts
    const last = await trail.db.get<{ action: string; at: number }>(
      `SELECT action, at FROM audit_record WHERE action IN ('system.start', 'system.stop') AND object_id = $1 ORDER BY at DESC, seq DESC LIMIT 1`,
      [trail.party],
    )
    if (last?.action === 'system.start') this.#tell({ at: trail.now(), component: 'process', operation: 'run', status: 'failing', cause: 'service/unavailable' }, { startedAt: last.at, ended: 'without stopping' })
    trail.note({ action: 'system.start', outcome: 'success', actor: { kind: 'system', id: trail.party }, object: { type: 'component', id: trail.party } })
    this.#clock = { wall: trail.now(), steady: performance.now() }
    this.#timer = setInterval(() => void this.look(), everyMs)
    this.#timer.unref()
  }

  /** Asks every component now. */
  look(): Promise<void> {
    return (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)))
  }

  async #look(): Promise<void> {
    this.#watchClock()
    const { face, trail } = this.#parts
    const { checks } = await face.health.report()
    for (const [component, { status, ...said }] of Object.entries(checks)) {
      const before = this.#status.get(component) ?? 'ok'
      this.#status.set(component, status)
      if (status === before) continue
      const code = (said as { code?: unknown }).code
      const cause = typeof code === 'string' ? code : status === 'ok' ? 'recovered' : 'service/unavailable'
      this.#tell({ at: trail.now(), component, operation: 'health check', status, cause })
    }
  }

  #watchClock(): void {
    const { trail } = this.#parts
    const now = { wall: trail.now(), steady: performance.now() }
    const jump = Math.round(now.wall - this.#clock.wall - (now.steady - this.#clock.steady))
    this.#clock = now
    if (Math.abs(jump) < CLOCK_JUMP_MS) return
    trail.note({ action: 'system.clock', outcome: 'success', actor: { kind: 'system', id: trail.party }, object: { type: 'component', id: 'clock' }, facts: { movedByMs: jump } })
  }

  #tell(change: HealthChange, facts: Record<string, unknown> = {}): void {
    const { trail, onChange } = this.#parts
    trail.note(healthEvent(change, { kind: 'system', id: trail.party }, facts), { each: true })
    onChange?.(change)
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#looking
    const { trail } = this.#parts
    trail.note({ action: 'system.stop', outcome: 'success', actor: { kind: 'system', id: trail.party }, object: { type: 'component', id: trail.party } })
  }
}

/** The record of a change of health, of our own or of a node that told us. */
export function healthEvent({ at, component, operation, status, cause }: HealthChange, actor: NonNullable<AuditEvent['actor']>, facts: Record<string, unknown> = {}): AuditEvent {
  const isWell = status === 'ok'
  return {
    action: isWell ? 'system.recovery' : 'system.fault',
    outcome: isWell ? 'success' : 'failed',
    at,
    actor,
    object: { type: 'component', id: component },
    ...(!isWell && { code: isProblemCode(cause) ? cause : 'service/unavailable' }),
    facts: { operation, status, cause, ...facts },
  }
}
