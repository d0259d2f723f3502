import { z } from 'zod'
import { EpochMs, HospitalId } from '../identifiers.ts'
import { ConsultState } from '../consult/messages.ts'

const time = z.coerce.number().int().nonnegative().optional()

/** GET /api/statistics; the last year unless told. */
export const StatisticsQuery = z.object({ from: time, until: time })
export const RegionStatistics = z.object({
  from: EpochMs,
  until: EpochMs,
  total: z.number().int(),
  byHospital: z.array(z.object({ submitter: HospitalId, state: ConsultState, count: z.number().int() })),
  /** From application to the signed opinion; null without any. */
  medianHoursToOpinion: z.number().nullable(),
})
export type RegionStatistics = z.infer<typeof RegionStatistics>
