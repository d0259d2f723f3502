export { Trail, type AuditTrail, type TrailOptions } from './trail.ts'
export { auditContext, type AuditContext } from './context.ts'
export { AuditConfig, auditSettingsOf, SyslogConfig } from './config.ts'
export { MemoryTrail } from './memory-trail.ts'
