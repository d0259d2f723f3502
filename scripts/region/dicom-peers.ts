import type { DicomNode } from 'specs'
import type { ApiUser } from './api.ts'
import type { RegionPlan } from './plan.ts'

/** An AE title that nobody registered is refused; registers those of the plan at one hospital. Repeating it changes nothing. */
export async function registerDicomPeers(hospitalAdmin: ApiUser, { dicomPeers, host }: Pick<RegionPlan, 'dicomPeers' | 'host'>): Promise<void> {
  const known = new Set((await hospitalAdmin.get<DicomNode[]>('/api/dicom-nodes')).map(({ aeTitle }) => aeTitle as string))
  for (const { aeTitle, description } of dicomPeers) {
    if (known.has(aeTitle)) continue
    // 104 is the registered DICOM port; tools that only send are never called back.
    await hospitalAdmin.send('POST', '/api/dicom-nodes', { aeTitle, host, port: 104, description, allowed: true, forwardPushed: false })
  }
}
