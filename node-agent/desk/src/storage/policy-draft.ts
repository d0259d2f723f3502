import type { ReplicaRule, StoragePolicy, TierRule } from 'specs'

const GB = 1_000_000_000
const MB = 1_000_000

/** Rules as a form holds them: sizes in GB and MB/s, records as rows. */
export interface PolicyDraft {
  pathTemplate: string
  ownerTemplates: { owner: string; value: string }[]
  tierRules: TierDraft[]
  keepLocalDays: number
  replicaRules: ReplicaDraft[]
  everyDays: number
  paceMb: number
  fromHour: number
  toHour: number
  copiesReadPercent: number
  repair: boolean
  quotaGb: number
  ownerQuotas: { owner: string; value: number }[]
  warnPercent: number
  recycleDays: number
  cacheGb: number
  cacheLeaves: StoragePolicy['cacheLeaves']
}
export type TierDraft = { -readonly [K in keyof TierRule]: TierRule[K] extends readonly unknown[] ? string[] : TierRule[K] }
export type ReplicaDraft = { -readonly [K in keyof ReplicaRule]: ReplicaRule[K] extends readonly unknown[] ? string[] : ReplicaRule[K] }

export function draftOf(policy: StoragePolicy): PolicyDraft {
  const { integrity } = policy
  return {
    pathTemplate: policy.pathTemplate,
    ownerTemplates: Object.entries(policy.ownerTemplates).map(([owner, value]) => ({ owner, value })),
    tierRules: policy.tierRules.map((rule) => ({ ...rule, modalities: [...rule.modalities], owners: [...rule.owners], campuses: [...rule.campuses] })),
    keepLocalDays: policy.keepLocalDays,
    replicaRules: policy.replicaRules.map((rule) => ({ ...rule, owners: [...rule.owners] })),
    everyDays: integrity.everyDays,
    paceMb: integrity.bytesPerSecond / MB,
    fromHour: integrity.fromHour,
    toHour: integrity.toHour,
    copiesReadPercent: integrity.copiesReadPercent,
    repair: integrity.repair,
    quotaGb: (policy.quotaBytes ?? 0) / GB,
    ownerQuotas: Object.entries(policy.ownerQuotas).map(([owner, value]) => ({ owner, value: value / GB })),
    warnPercent: policy.warnPercent,
    recycleDays: policy.recycleDays,
    cacheGb: (policy.cacheBytes ?? 0) / GB,
    cacheLeaves: policy.cacheLeaves,
  }
}

const bytes = (gigabytes: number): number => Math.round(gigabytes * GB)
const named = <T>(rows: readonly { owner: string; value: T }[], valueOf: (value: T) => T): Record<string, T> =>
  Object.fromEntries(rows.filter(({ owner }) => owner.trim() !== '').map(({ owner, value }) => [owner.trim(), valueOf(value)]))

/** What is sent; `before` has what the form does not show. */
export function policyOf(draft: PolicyDraft, before: StoragePolicy): StoragePolicy {
  return {
    ...before,
    pathTemplate: draft.pathTemplate.trim(),
    ownerTemplates: named(draft.ownerTemplates, (value) => value.trim()),
    tierRules: draft.tierRules as TierRule[],
    keepLocalDays: draft.keepLocalDays,
    replicaRules: draft.replicaRules as ReplicaRule[],
    integrity: { everyDays: draft.everyDays, bytesPerSecond: Math.round(draft.paceMb * MB), fromHour: draft.fromHour, toHour: draft.toHour, copiesReadPercent: draft.copiesReadPercent, repair: draft.repair },
    quotaBytes: draft.quotaGb > 0 ? bytes(draft.quotaGb) : null,
    ownerQuotas: named(draft.ownerQuotas, bytes),
    warnPercent: draft.warnPercent,
    recycleDays: draft.recycleDays,
    cacheBytes: before.cacheBytes === null ? null : bytes(draft.cacheGb),
    cacheLeaves: draft.cacheLeaves,
  }
}

export const newTierRule = (to: string): TierDraft => ({ ruleId: crypto.randomUUID().slice(0, 8), name: '', to, after: 'study-date', days: 730, modalities: [], owners: [], campuses: [] })
export const newReplicaRule = (to: string): ReplicaDraft => ({ ruleId: crypto.randomUUID().slice(0, 8), name: '', to, owners: [] })
