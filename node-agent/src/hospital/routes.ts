import type { HttpFace } from 'service-kit'
import { HospitalConfig, ProcessorChoice, RegionId, type HospitalId } from 'specs'
import { z } from 'zod'
import type { Region } from '../region/region.ts'

const OwnHospital = z.object({ id: z.string(), name: z.string(), regionId: RegionId.nullable(), regionName: z.string().nullable(), hospital: HospitalConfig.nullable(), roles: z.array(z.string()) })

/** Who we are, and whom a doctor may ask. */
export function addHospitalRoutes(face: HttpFace, { region, hospitalId }: { region: Region; hospitalId: HospitalId }): void {
  face.route({ method: 'GET', path: '/api/hospital', summary: 'This hospital as the region knows it', allow: 'signed-in', answer: OwnHospital }, ({ user }) => ({
    id: hospitalId,
    name: region.nameOf(hospitalId),
    regionId: region.regionId ?? null,
    regionName: region.membership?.regionName ?? null,
    hospital: region.hospital ?? null,
    roles: user.roles,
  }))
  face.route(
    { method: 'GET', path: '/api/processors', summary: 'Hospitals that can be asked, and data centres', allow: 'signed-in', answer: z.array(ProcessorChoice) },
    () =>
      (region.directory?.hospitals ?? [])
        .filter(({ id, kinds, revoked, certificate }) => id !== hospitalId && !revoked && certificate !== '' && (kinds.includes('processor') || kinds.includes('data-centre')))
        .map(({ id, name, kinds, taskTypes, flowModes }) => ({ id, name, kinds, taskTypes, flowModes })),
  )
}
