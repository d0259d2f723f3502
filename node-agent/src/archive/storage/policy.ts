import type { EpochMs, StoragePolicy, TierRule } from 'specs'
import { defaultPathTemplate } from '../path-template.ts'

/** How an archive stores until somebody says otherwise. */
export const defaultPolicy: StoragePolicy = {
  pathTemplate: defaultPathTemplate,
  ownerTemplates: {},
  tierRules: [],
  keepLocalDays: 7,
  replicaRules: [],
  integrity: { everyDays: 30, bytesPerSecond: 20_000_000, fromHour: 20, toHour: 6, copiesReadPercent: 5, repair: true },
  quotaBytes: null,
  ownerQuotas: {},
  warnPercent: 85,
  recycleDays: 30,
  cacheBytes: null,
  cacheLeaves: 'least-recently-opened',
}

/** What rules ask of a study. Dates as in DICOM, `YYYYMMDD` or ''. */
export interface PlacedStudy {
  readonly studyInstanceUid: string
  readonly owner: string
  readonly studyDate: string
  readonly receivedAt: EpochMs
  readonly openedAt: EpochMs
  readonly modalities: readonly string[]
  readonly campus: string
}

const DAY_MS = 86_400_000

/** The store that a study's lasting copy belongs into by the first rule that applies; undefined while it stays on the local disk (ARC-20). */
export const decideTier = (study: PlacedStudy, rules: readonly TierRule[], now: EpochMs): string | undefined => rules.find((rule) => concerns(rule, study) && ageOf(study, rule.after, now) >= rule.days * DAY_MS)?.to

/** Stores that are to have a second copy (ARC-24). */
export const decideReplicas = (study: Pick<PlacedStudy, 'owner'>, rules: StoragePolicy['replicaRules']): string[] => [...new Set(rules.filter(({ owners }) => isOne(owners, study.owner)).map(({ to }) => to))]

const isOne = (wanted: readonly string[], value: string): boolean => wanted.length === 0 || wanted.includes(value)

const concerns = (rule: TierRule, study: PlacedStudy): boolean =>
  isOne(rule.owners, study.owner) && isOne(rule.campuses, study.campus) && (rule.modalities.length === 0 || study.modalities.some((modality) => rule.modalities.includes(modality)))

/** A study without a date counts from its arrival; what was opened since it arrived, from then. */
function ageOf({ studyDate, receivedAt, openedAt }: PlacedStudy, after: TierRule['after'], now: EpochMs): number {
  if (after === 'received') return now - receivedAt
  if (after === 'opened') return now - Math.max(receivedAt, openedAt)
  const day = /^(\d{4})(\d{2})(\d{2})$/.exec(studyDate)
  const at = day ? Date.UTC(Number(day[1]), Number(day[2]) - 1, Number(day[3])) : Number.NaN
  // A date in the future is a modality's wrong clock.
  return now - (Number.isNaN(at) || at > now ? receivedAt : at)
}

/** Whether the local copy of a moved study is not needed any more. */
export const decideLeaving = (study: Pick<PlacedStudy, 'receivedAt' | 'openedAt'>, keepLocalDays: number, now: EpochMs): boolean => now - Math.max(study.receivedAt, study.openedAt) >= keepLocalDays * DAY_MS

/** Whether the job may work at this moment; Beijing time, because China keeps one. */
export function isWithin({ fromHour, toHour }: { fromHour: number; toHour: number }, now: EpochMs): boolean {
  const hour = new Date(now + 8 * 3_600_000).getUTCHours()
  if (fromHour === toHour) return true
  return fromHour < toHour ? hour >= fromHour && hour < toHour : hour >= fromHour || hour < toHour
}

export type QuotaState = 'ok' | 'warning' | 'full'
export function decideQuota(usedBytes: number, quotaBytes: number | null | undefined, warnPercent: number): QuotaState {
  if (quotaBytes === null || quotaBytes === undefined) return 'ok'
  if (usedBytes >= quotaBytes) return 'full'
  return usedBytes >= (quotaBytes * warnPercent) / 100 ? 'warning' : 'ok'
}
