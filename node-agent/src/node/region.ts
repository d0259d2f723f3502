import { readFile } from 'node:fs/promises'
import type { Outbound } from 'service-kit'
import type { LiveEvent } from 'specs'
import type { ExamIntake } from '../exam/intake.ts'
import { adoptExams } from '../exam/store.ts'
import { unassigned } from '../region/joined-regions.ts'
import { Region } from '../region/region.ts'
import { VERSION } from '../version.ts'
import type { Ground } from './ground.ts'

export interface RegionOfNodeParts {
  readonly announce: (event: LiveEvent) => void
  readonly outbound: Outbound
  readonly intake: ExamIntake
  readonly transfersActive: () => number
}

/** The node's place in its region, with what the platform is told of the node and what joining changes in it. */
export async function openRegion(ground: Ground, { announce, outbound, intake, transfersActive }: RegionOfNodeParts): Promise<Region> {
  const { settings, db, log, metrics, hospitalId, joined, inHospital, regional, keyFolder, vault } = ground
  const { hubCaFile, dualCertificates, natsUrl, heartbeatMs, requestTimeoutMs } = settings.region
  return Region.open({
    db, log, metrics, hospitalId, announce, joined, keyFolder, outbound,
    dualCertificates, natsUrl, heartbeatMs, requestTimeoutMs,
    hospitalName: settings.hospital.name,
    safe: vault,
    hubCa: hubCaFile === undefined ? undefined : await readFile(hubCaFile, 'utf8'),
    version: VERSION,
    statusOf: async () => {
      const [a, b] = [inHospital.totals(), regional.totals()]
      return { studies: a.studies + b.studies, instances: a.instances + b.instances, freeBytes: await inHospital.freeBytes(), transfersActive: transfersActive() }
    },
    adoptUnassigned: async (regionId) => {
      const studies = (await inHospital.adoptRegion(unassigned, regionId)) + (await regional.adoptRegion(unassigned, regionId))
      await intake.flush() // what it learned of studies before they were given away
      const exams = await db.write((tx) => adoptExams(tx, unassigned, regionId))
      if (studies + exams > 0) log.info({ regionId, studies, exams }, 'what was here before joining belongs to the region')
    },
  }) // prettier-ignore
}
