import { z } from 'zod'
import { HospitalId } from './identifiers.ts'
import { HospitalKind } from './federation/messages.ts'

/** `.run/region.json`: the contract for scripts and outside tools that meet a region started by `npm start`. */
const Account = z.object({ username: z.string(), password: z.string(), roles: z.array(z.string()) })
export const RegionFile = z.object({
  hub: z.object({ url: z.string(), consoleUrl: z.string(), nats: z.string(), accounts: z.array(Account) }),
  hospitals: z.array(
    z.object({
      id: HospitalId,
      name: z.string(),
      kinds: z.array(HospitalKind),
      url: z.string(),
      viewerUrl: z.string(),
      dicom: z.object({ aeTitle: z.string(), host: z.string(), port: z.number().int() }),
      accounts: z.array(Account),
    }),
  ),
})
export type RegionFile = z.infer<typeof RegionFile>
