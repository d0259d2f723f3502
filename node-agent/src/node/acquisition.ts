import { join } from 'node:path'
import type { Outbound, Trail } from 'service-kit'
import type { LiveEvent } from 'specs'
import { Importer } from '../acquisition/import/importer.ts'
import { WatchedFolder } from '../acquisition/import/watched-folder.ts'
import { Acquisition } from '../acquisition/query-retrieve/engine.ts'
import { wasFetched } from '../acquisition/query-retrieve/store.ts'
import type { Commitments } from '../commitment/commitments.ts'
import { regionOfCaller } from '../dicom-node/store.ts'
import { peerGate } from '../dicom-node/peer-gate.ts'
import { archiveSink } from '../dimse/archive-sink.ts'
import type { Forwarder } from '../routing/forwarder.ts'
import { Router } from '../routing/router.ts'
import type { Ground } from './ground.ts'

export interface AcquisitionOfNodeParts {
  readonly announce: (event: LiveEvent) => void
  readonly audit: Trail
  readonly outbound: Outbound
  readonly forwarder: () => Forwarder
  readonly commitments: () => Commitments | undefined
}

/** What comes because we ask for it, and what goes on by rules. */
export function openAcquisition({ settings, db, log, joined, inHospital, keyFolder }: Ground, { announce, audit, outbound, forwarder, commitments }: AcquisitionOfNodeParts) {
  const regionOf = async (aeTitle: string) => (joined.count > 1 ? regionOfCaller(db, aeTitle) : undefined)
  const acquisition: Acquisition = new Acquisition({
    db, log, audit,
    archive: inHospital,
    aeTitle: () => settings.dimse.aeTitle,
    storage: archiveSink(inHospital, regionOf),
    addressOf: peerGate({ outbound, keyFolder }),
    onChange: (runId) => announce({ type: 'acquisition', runId }),
    onEnd: (run, ended) => void router.priorsFetched(run.wants, ended),
  }) // prettier-ignore
  const router: Router = new Router({
    db, log, audit, forwarder,
    archive: inHospital,
    wantPriors: (tx, wanted) => acquisition.wantPriors(tx, wanted),
    wasFetched: (study) => wasFetched(db, study),
    askCommitment: async (tx, asked) => (await commitments()?.ask(tx, asked)) ?? '',
    onChange: (ruleId) => announce({ type: 'routing', ruleId }),
  }) // prettier-ignore
  const importer = new Importer({
    db, log, audit,
    folder: join(settings.dataFolder, 'incoming', 'imports'),
    freeBytes: async () => Math.max(0, (await inHospital.freeBytes()) - settings.archive.minFreeBytes),
    onChange: (importId) => announce({ type: 'import', importId }),
  }) // prettier-ignore
  // Whoever may write into the folder is an administrator of the machine: what lies there is the hospital's own.
  const storing = { archive: inHospital, admit: async () => undefined }
  const { importFolder } = settings.acquisition
  const watched = importFolder === undefined ? undefined : new WatchedFolder({ db, log, importer, folder: importFolder, storing })
  return {
    acquisition, router, importer,
    start: async () => {
      await router.start()
      await importer.start()
      await watched?.start()
      await acquisition.start()
    },
    stop: async () => {
      await watched?.stop()
      await importer.stop()
      await acquisition.stop()
      await router.stop()
    },
  } // prettier-ignore
}
