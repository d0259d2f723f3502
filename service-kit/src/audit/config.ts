import { z } from 'zod'
import { DatabaseConfig } from '../database/index.ts'

const DAY_MS = 86_400_000
/** 网络安全法 第二十三条: network logs are kept for no less than six months. */
export const LEAST_RETENTION_DAYS = 184

/** Where audit messages in the DICOM schema go (PS3.15 A.5, IHE ATNA); RFC 5424 over UDP (RFC 5426), TCP (RFC 6587) or TLS (RFC 5425). */
export const SyslogConfig = z.strictObject({
  host: z.string().min(1).max(255),
  port: z.number().int().min(1).max(65_535).default(6514),
  transport: z.enum(['udp', 'tcp', 'tls']).default('tls'),
  /** PEM file of the authority that the collector's certificate chains to; the system's own unless told. */
  caFile: z.string().min(1).optional(),
  /** PEM files with which we show who we are, where the collector asks. */
  certificateFile: z.string().min(1).optional(),
  keyFile: z.string().min(1).optional(),
})
export type SyslogConfig = z.output<typeof SyslogConfig>

export const AuditConfig = z.strictObject({
  /** Its own database: `audit.sqlite` in the data folder unless told. */
  database: DatabaseConfig.optional(),
  /** Days that records are kept online. */
  retentionDays: z.number().int().min(LEAST_RETENTION_DAYS, 'at least six months (网络安全法)').max(36_500).default(1_096),
  /** A signed checkpoint after this many records … */
  checkpointRecords: z.number().int().min(1).max(1_000_000).default(1_000),
  /** … or this many seconds, whichever comes first. */
  checkpointSeconds: z.number().positive().max(86_400).default(60),
  syslog: SyslogConfig.optional(),
  /** Local hours of the review "night access", from and before. */
  nightHours: z.tuple([z.number().int().min(0).max(23), z.number().int().min(0).max(23)]).default([22, 6]),
  /** Minutes that local time is ahead of UTC; China keeps one time. */
  utcOffsetMinutes: z.number().int().min(-720).max(840).default(480),
  /** Networks of the hospital in CIDR form: whoever looks from elsewhere is "off-campus". */
  campusNetworks: z.array(z.string().max(50)).default(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '127.0.0.0/8', '::1/128', 'fc00::/7']),
})
export type AuditConfig = z.output<typeof AuditConfig>

/** What the trail itself goes by; where it lies is told beside. */
export type AuditRules = Omit<AuditConfig, 'database'>

export const retentionMs = ({ retentionDays }: AuditRules): number => retentionDays * DAY_MS

/** With every path absolute and the trail's own database named: beside the service's files, or in a schema beside the service's. */
export function auditSettingsOf(config: AuditConfig, at: (path: string) => string, beside: DatabaseConfig): AuditRules & { readonly database: DatabaseConfig } {
  const { syslog, database = beside, ...rules } = config
  const file = (path: string | undefined) => path && at(path)
  return {
    ...rules,
    database: database.dialect === 'sqlite' ? { ...database, file: at(database.file) } : database,
    ...(syslog && { syslog: { ...syslog, caFile: file(syslog.caFile), certificateFile: file(syslog.certificateFile), keyFile: file(syslog.keyFile) } }),
  }
}
