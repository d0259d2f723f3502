// A node whose trail hears nothing: only to measure what telling it costs. The product has no such setting.
import { Trail } from 'service-kit'

Trail.prototype.note = () => undefined
Trail.prototype.record = async () => undefined
Trail.prototype.within = async () => undefined
await import('../../node-agent/src/main.ts')
