// A node whose trail hears nothing after SIGUSR2, and everything again after the next: only to measure what telling it costs, in one process on one set of
// data. The product has no such setting.
import { auditContext, Trail } from 'service-kit'

const { note, record, within } = Trail.prototype
const { run } = auditContext
let isDeaf = false
process.on('SIGUSR2', () => {
  isDeaf = !isDeaf
  Trail.prototype.note = isDeaf ? () => undefined : note
  Trail.prototype.record = isDeaf ? async () => undefined : record
  Trail.prototype.within = isDeaf ? async () => undefined : within
  // Who asks is remembered for the trail alone.
  auditContext.run = isDeaf ? (((_store: unknown, work: (...args: unknown[]) => unknown, ...args: unknown[]) => work(...args)) as typeof run) : run
})
await import('../../node-agent/src/main.ts')
