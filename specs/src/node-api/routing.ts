import { z } from 'zod'
import { EpochMs } from '../identifiers.ts'
import { TimeWindows } from './time-window.ts'

/** `study-received`: no further image of the study has come for a while. `exam-new`: registered, or its first images came unannounced. */
export const RoutingEvent = z.enum(['study-received', 'exam-new'])
export type RoutingEvent = z.infer<typeof RoutingEvent>

const codes = (length: number) => z.array(z.string().trim().min(1).max(length)).max(50).default([])

/** Every list that names something must contain what the study is; an empty one says nothing (ARC-17). */
export const RoutingCondition = z.object({
  /** AE titles that sent it. */
  callingAeTitles: codes(16),
  modalities: codes(16),
  /** As texts, or as the region they name: 胸部 and CHEST are the same. */
  bodyParts: codes(64),
  campuses: codes(32),
  departments: codes(32),
  /** With `*` and `?`; '' says nothing. */
  accessionPattern: z.string().trim().max(32).default(''),
})
export type RoutingCondition = z.infer<typeof RoutingCondition>

/** Which earlier studies of the patient are worth bringing. */
export const PriorSelection = z.object({
  maxStudies: z.number().int().min(1).max(50).default(3),
  maxYears: z.number().int().min(1).max(50).default(5),
  sameBodyPart: z.boolean().default(true),
  /** Studies that do not say what they show count as the same body part. */
  unknownBodyPart: z.boolean().default(true),
  /** Modality of the new exam → modalities that it is compared with; the same one where nothing is said. */
  modalityMap: z.record(z.string().max(16), z.array(z.string().max(16)).min(1).max(20)).default({}),
})
export type PriorSelection = z.infer<typeof PriorSelection>

export const RetrieveMethod = z.enum(['move', 'get'])
export type RetrieveMethod = z.infer<typeof RetrieveMethod>

export const RoutingAction = z.discriminatedUnion('kind', [
  /** 自动路由; of a study only the series of these modalities, where some are named. `commitment`: afterwards the node is asked to answer for them (PS3.4 J). */
  z.object({ kind: z.literal('send'), nodeIds: z.array(z.string().max(64)).min(1).max(20), seriesModalities: codes(16), commitment: z.boolean().default(false) }),
  /** 影像预取: what we hold of the patient goes to these nodes. */
  z.object({ kind: z.literal('send-priors'), nodeIds: z.array(z.string().max(64)).min(1).max(20), select: PriorSelection.prefault({}) }),
  /** 影像预取: what an older PACS holds of the patient is fetched. */
  z.object({ kind: z.literal('fetch-priors'), sourceNodeId: z.string().max(64), method: RetrieveMethod.default('move'), select: PriorSelection.prefault({}) }),
])
export type RoutingAction = z.infer<typeof RoutingAction>

export const RoutingRuleInput = z.object({
  name: z.string().trim().min(1).max(60),
  enabled: z.boolean().default(true),
  event: RoutingEvent,
  /** How long no image may have come before a study counts as whole. */
  quietSeconds: z.number().int().min(1).max(3_600).default(30),
  when: RoutingCondition.prefault({}),
  action: RoutingAction,
  windows: TimeWindows,
  /** 1 goes first. */
  priority: z.number().int().min(1).max(9).default(5),
  /** After this long a delivery that never succeeds waits for a person; null: it is tried for ever. */
  giveUpHours: z.number().int().min(1).max(8_760).nullable().default(168),
})
export type RoutingRuleInput = z.infer<typeof RoutingRuleInput>
export const RoutingRule = RoutingRuleInput.extend({ id: z.string(), revision: z.number().int(), updatedAt: EpochMs, updatedBy: z.string() })
export type RoutingRule = z.infer<typeof RoutingRule>

/** Why something was, or was not, sent or fetched. Names of studies and exams only for whoever may have them on a list. */
export const RoutingLogRow = z.object({
  id: z.string(),
  at: EpochMs,
  ruleId: z.string().nullable(),
  ruleName: z.string(),
  event: z.string(),
  studyInstanceUid: z.string().nullable(),
  /** `queued` for nodes, `asked` for a fetch, `loop` not sent back, `nothing` to do, `delivered`, `failed`, `fetched`. */
  outcome: z.enum(['queued', 'asked', 'loop', 'nothing', 'delivered', 'failed', 'fetched']),
  facts: z.record(z.string(), z.unknown()),
})
export type RoutingLogRow = z.infer<typeof RoutingLogRow>

/** What a rule would do with studies that are here, newest first. Nothing is sent. */
export const RoutingTrial = z.object({
  examined: z.number().int(),
  rows: z.array(
    z.object({
      studyInstanceUid: z.string(),
      studyDate: z.string(),
      modalities: z.array(z.string()),
      description: z.string(),
      matched: z.boolean(),
      /** Which condition did not hold. */
      because: z.string().nullable(),
      /** Nodes that it would go to, by AE title, without those it came from. */
      to: z.array(z.string()),
      /** Earlier studies that would go along or be asked for. */
      priors: z.number().int(),
    }),
  ),
})
export type RoutingTrial = z.infer<typeof RoutingTrial>

/** How hard one node may be sent to: over a narrow line everything waits in the queue instead of failing (ARC-10). */
export const DestinationLimit = z.object({
  /** Associations at the same time. */
  associations: z.number().int().min(1).max(8).default(1),
  /** 0: as fast as it takes it. */
  kilobytesPerSecond: z.number().int().min(0).max(10_000_000).default(0).refine((rate) => rate === 0 || rate >= 64, '限速不得低于 64 KB/s / at least 64 KB/s'),
})
export type DestinationLimit = z.infer<typeof DestinationLimit>
export const Destination = DestinationLimit.extend({ nodeId: z.string(), aeTitle: z.string(), description: z.string(), waiting: z.number().int(), failed: z.number().int() })
export type Destination = z.infer<typeof Destination>
