import { Problem, type AuditEvent } from 'specs'
import type { Transaction } from '../database/index.ts'
import type { AuditTrail } from './trail.ts'

/** For tests of parts that tell the trail something: keeps what it was told, in order. */
export class MemoryTrail implements AuditTrail {
  readonly events: AuditEvent[] = []
  available = true

  async record(event: AuditEvent): Promise<void> {
    if (!this.available) throw new Problem('audit/unavailable', { action: event.action })
    this.events.push(event)
  }

  note(event: AuditEvent): void {
    this.events.push(event)
  }

  async within(tx: Transaction, event: AuditEvent): Promise<void> {
    tx.afterCommit(() => this.events.push(event))
  }

  patientKey(owner: string, patientId: string): string {
    return `${owner}/${patientId}`
  }
}
