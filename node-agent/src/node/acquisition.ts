import type { Outbound, Trail } from 'service-kit'
import type { LiveEvent } from 'specs'
import { Acquisition } from '../acquisition/query-retrieve/engine.ts'
import { wasFetched } from '../acquisition/query-retrieve/store.ts'
import { regionOfCaller } from '../dicom-node/store.ts'
import { archiveSink } from '../dimse/archive-sink.ts'
import type { Forwarder } from '../routing/forwarder.ts'
import { Router } from '../routing/router.ts'
import type { Ground } from './ground.ts'

export interface AcquisitionOfNodeParts {
  readonly announce: (event: LiveEvent) => void
  readonly audit: Trail
  readonly outbound: Outbound
  readonly forwarder: () => Forwarder
}

/** What comes because we ask for it, and what goes on by rules. */
export function openAcquisition({ settings, db, log, joined, inHospital }: Ground, { announce, audit, outbound, forwarder }: AcquisitionOfNodeParts) {
  const regionOf = async (aeTitle: string) => (joined.count > 1 ? regionOfCaller(db, aeTitle) : undefined)
  const acquisition: Acquisition = new Acquisition({
    db, log, audit,
    archive: inHospital,
    aeTitle: () => settings.dimse.aeTitle,
    storage: archiveSink(inHospital, regionOf),
    addressOf: async (host) => (await outbound.addressOf('dicom-node', host)).address,
    onChange: (runId) => announce({ type: 'acquisition', runId }),
    onEnd: (run, ended) => void router.priorsFetched(run.wants, ended),
  }) // prettier-ignore
  const router: Router = new Router({
    db, log, audit, forwarder,
    archive: inHospital,
    wantPriors: (tx, wanted) => acquisition.wantPriors(tx, wanted),
    wasFetched: (study) => wasFetched(db, study),
    onChange: (ruleId) => announce({ type: 'routing', ruleId }),
  }) // prettier-ignore
  return { acquisition, router }
}
