import type { HttpFace } from 'service-kit'
import { RegionInfo } from 'specs'

/** What a node must know before it can join; the join code tells it whether to believe the root. */
export function regionRoutes(face: HttpFace, info: RegionInfo): void {
  face.route(
    {
      method: 'GET',
      path: '/api/region',
      summary: 'The region, its root certificate and its NATS address',
      allow: 'anyone',
      answer: RegionInfo,
    },
    () => info,
  )
}
