import { z } from 'zod'
import type { RegionId } from '../identifiers.ts'

/**
 * How the region's NATS server is reached and recognised: an address and the TLS root that certifies it, signed by the hub's SM2 key,
 * so that trust in them goes back to the root that the join code names.
 */
export const NatsTrust = z.object({
  natsUrl: z.string().max(300),
  /** PEM; absent where the system's own roots decide, or no TLS is spoken. */
  natsCa: z.string().max(8_000).optional(),
  signature: z.string().max(400),
  certificateChain: z.array(z.string()).min(1).max(4),
})
export type NatsTrust = z.infer<typeof NatsTrust>

/** What the signature covers. */
export const natsTrustDocument = (regionId: RegionId, { natsUrl, natsCa }: Pick<NatsTrust, 'natsUrl' | 'natsCa'>) => ({
  kind: 'nats-trust',
  regionId,
  natsUrl,
  natsCa: natsCa ?? null,
})
