import type { AuditStatus } from 'specs'

/** What the security overview is made of. What is absent is not judged. */
export interface PostureFacts {
  readonly posture: {
    readonly secondFactor: 'optional' | 'administrators' | 'everyone'
    readonly administrators: number
    readonly withoutFactor: readonly string[]
    readonly unused: readonly string[]
    readonly locked: readonly string[]
    readonly waiting: number
    readonly failedSignIns: number
    readonly verification: { readonly state: 'whole' | 'findings' | 'failed'; readonly at: number } | null
    readonly lastBackupAt: number | null
  }
  readonly audit: AuditStatus | undefined
  /** The own certificate of a node. */
  readonly certificateExpires: number | null | undefined
  /** All of the region, at the hub. */
  readonly certificates:
    | {
        readonly expiring: number
        readonly expired: number
        readonly authorityExpires: number
        readonly onFormerAuthority: number
        readonly nats: { readonly expires: number | null; readonly waitsForReload: boolean } | null
      }
    | undefined
  /** States of emergency accesses. */
  readonly glasses: readonly string[] | undefined
  readonly place: { readonly encrypted: boolean; readonly local: boolean }
  readonly now: number
}

export type Level = 'good' | 'warn' | 'bad'
export interface Judgement {
  readonly key: string
  readonly level: Level
  readonly n?: number
  readonly names?: readonly string[]
  readonly at?: number
}

const DAY_MS = 86_400_000
/** Certificates of nodes last two years: from here on they would be cut short by the authority's own end. */
const AUTHORITY_AHEAD_MS = 730 * DAY_MS
/** More than people mistype. */
const MANY_FAILURES = 20

/** What is well and what is not, the worst first. */
export function judge({ posture, audit, certificateExpires, certificates, glasses, place, now }: PostureFacts): Judgement[] {
  const found: Judgement[] = [
    { key: 'tls', level: place.encrypted ? 'good' : place.local ? 'warn' : 'bad' },
    posture.secondFactor === 'optional'
      ? { key: 'factor', level: 'bad' }
      : { key: 'factor', level: posture.withoutFactor.length > 0 ? 'warn' : 'good', n: posture.withoutFactor.length, names: posture.withoutFactor },
    { key: 'waiting', level: posture.waiting > 0 ? 'warn' : 'good', n: posture.waiting },
    { key: 'locked', level: posture.locked.length > 0 ? 'warn' : 'good', n: posture.locked.length, names: posture.locked },
    { key: 'unused', level: posture.unused.length > 0 ? 'warn' : 'good', n: posture.unused.length, names: posture.unused },
    { key: 'failures', level: posture.failedSignIns >= MANY_FAILURES ? 'warn' : 'good', n: posture.failedSignIns },
    verificationOf(posture.verification, now),
    backupOf(posture.lastBackupAt, now),
  ]
  // The newest checkpoint is always on its way to a witness for a while.
  if (audit) found.push({ key: 'audit', level: !audit.available ? 'bad' : audit.unwitnessed > 2 ? 'warn' : 'good', n: audit.unwitnessed })
  if (certificateExpires) found.push({ key: 'certificate', level: certificateExpires < now ? 'bad' : certificateExpires < now + 30 * DAY_MS ? 'warn' : 'good', at: certificateExpires })
  if (certificates) {
    const { expiring, expired, authorityExpires, onFormerAuthority, nats } = certificates
    found.push({ key: 'authority', level: authorityExpires < now ? 'bad' : authorityExpires < now + AUTHORITY_AHEAD_MS ? 'warn' : 'good', at: authorityExpires })
    if (onFormerAuthority > 0) found.push({ key: 'rollover', level: 'warn', n: onFormerAuthority })
    if (nats?.expires) found.push({ key: nats.waitsForReload ? 'natsReload' : 'nats', level: nats.expires < now ? 'bad' : nats.waitsForReload || nats.expires < now + 30 * DAY_MS ? 'warn' : 'good', at: nats.expires })
    found.push({ key: 'expiring', level: expired > 0 ? 'bad' : expiring > 0 ? 'warn' : 'good', n: expired > 0 ? expired : expiring })
  }
  if (glasses) {
    const overdue = glasses.filter((state) => state === 'overdue').length
    const waiting = glasses.filter((state) => state === 'open' || state === 'unreviewed').length
    found.push({ key: 'breakGlass', level: overdue > 0 ? 'bad' : waiting > 0 ? 'warn' : 'good', n: overdue > 0 ? overdue : waiting })
  }
  const order: Record<Level, number> = { bad: 0, warn: 1, good: 2 }
  return found.sort((a, b) => order[a.level] - order[b.level])
}

function verificationOf(verification: PostureFacts['posture']['verification'], now: number): Judgement {
  if (verification?.state === 'findings') return { key: 'verified', level: 'bad' }
  const isFresh = verification?.state === 'whole' && verification.at > now - 30 * DAY_MS
  return { key: 'verified', level: isFresh ? 'good' : 'warn' }
}

function backupOf(at: number | null, now: number): Judgement {
  if (at === null) return { key: 'backup', level: 'bad' }
  const days = Math.floor((now - at) / DAY_MS)
  return { key: 'backup', level: days > 7 ? 'warn' : 'good', n: days, at }
}
