import type { HttpFace } from 'service-kit'
import { HospitalConfig, HospitalKind, ProcessorChoice, RegionId, type HospitalId } from 'specs'
import { z } from 'zod'
import type { Region } from '../region/region.ts'

const OwnHospital = HospitalConfig.pick({ kinds: true, taskTypes: true, flowModes: true }).extend({
  id: z.string(),
  name: z.string(),
  code: z.string().nullable(),
  regionId: RegionId.nullable(),
  regionName: z.string().nullable(),
  kinds: z.array(HospitalKind),
})

/** Who we are, and whom a doctor may ask. */
export function addHospitalRoutes(face: HttpFace, { region, hospitalId }: { region: Region; hospitalId: HospitalId }): void {
  face.route(
    { method: 'GET', path: '/api/hospital', summary: 'This hospital as the region knows it', allow: 'signed-in', answer: OwnHospital },
    () => ({
      id: hospitalId,
      name: region.nameOf(hospitalId),
      code: region.hospital?.code ?? null,
      regionId: region.regionId ?? null,
      regionName: region.membership?.regionName ?? null,
      // What a hospital may do is the region's to say; before that it keeps its own archive and asks nobody.
      kinds: region.hospital?.kinds ?? [],
      taskTypes: region.hospital?.taskTypes ?? [],
      flowModes: region.hospital?.flowModes ?? [],
    }),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/processors',
      summary: 'Hospitals that can be asked, and data centres',
      allow: 'signed-in',
      answer: z.array(ProcessorChoice),
    },
    () =>
      (region.directory?.hospitals ?? [])
        .filter(
          ({ id, kinds, revoked, certificate }) =>
            id !== hospitalId && !revoked && certificate !== '' && (kinds.includes('processor') || kinds.includes('data-centre')),
        )
        .map(({ id, name, kinds, taskTypes, flowModes }) => ({ id, name, kinds, taskTypes, flowModes })),
  )
}
