import { join } from 'node:path'
import type { Outbound, Trail } from 'service-kit'
import type { LiveEvent, StoragePolicy } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import type { AssertionDesk } from '../assertion/admit.ts'
import type { Assert } from '../assertion/assert.ts'
import { endedEvent, receivedEvent } from '../audit/edge-events.ts'
import { transcode } from '../dicom/transcode/transcode.ts'
import { studiesOfOpenConsults } from '../consult/store.ts'
import type { PlatformParameters } from '../parameters/platform-parameters.ts'
import type { Region } from '../region/region.ts'
import { Forwarder } from '../routing/forwarder.ts'
import { limitOf } from '../routing/rule-store.ts'
import type { Router } from '../routing/router.ts'
import { CipherThread } from '../transfer/cipher-thread.ts'
import { TransferEngine } from '../transfer/engine.ts'
import { TransferOwner } from '../transfer/owner.ts'
import { RegionalCache } from '../transfer/regional-cache.ts'
import type { Ground } from './ground.ts'
import { peerGate } from '../dicom-node/peer-gate.ts'

export interface ImagesParts {
  readonly announce: (event: LiveEvent) => void
  readonly audit: Trail
  readonly outbound: Outbound
  readonly region: Region
  readonly access: AccessControl
  readonly assert: Assert
  readonly assertions: AssertionDesk
  /** Holds deliveries back by the time windows of its rules, and hears of their ends. */
  readonly router: () => Router | undefined
  /** Of transfers: the configuration, or what the platform says instead (AGT-13). */
  readonly parameters: PlatformParameters
  /** How large the regional cache may be and what leaves it first, as the pages say. */
  readonly cacheTerms: () => Pick<StoragePolicy, 'cacheBytes' | 'cacheLeaves'> | undefined
  /** All images of a study have come; told once that is durable. */
  readonly onComplete: () => void
}

/** Images between hospitals: fetched and given, what of them is kept here, and what goes on to devices of this hospital. */
export function openImages(ground: Ground, parts: ImagesParts) {
  const { settings, db, log, metrics, hospitalId, inHospital, regional, encryption, codecs } = ground
  const { announce, audit, outbound, region, access, assert, assertions, onComplete, router, parameters } = parts
  const transferSettings = parameters.transferSettings()
  const coder = new CipherThread(log)
  const forwarder = new Forwarder({
    db, log,
    archiveOf: (name) => (name === 'regional' ? regional : inHospital),
    callingAeTitle: settings.dimse.aeTitle,
    addressOf: peerGate({ outbound, keyFolder: ground.keyFolder }),
    transcode: (file, syntax) => transcode(file, syntax, { codecs, turn: { lane: 'forward', background: true } }),
    limitsOf: (nodeId) => limitOf(db, nodeId),
    mayRunAt: async (job) => router()?.mayRunAt(job) ?? 0,
    onChange: ({ studyInstanceUid, nodeId, state, instancesDone, instancesTotal }) => announce({ type: 'forward', studyInstanceUid, nodeId, state, instancesDone, instancesTotal }),
    onEnd: (job, row) => router()?.delivered(job, row),
  }) // prettier-ignore
  const transfers: TransferEngine = new TransferEngine({
    db, log, metrics, announce, coder, assert,
    line: region.line,
    archive: regional,
    folder: join(settings.dataFolder, 'incoming'),
    ...(settings.archive.encryption.regional === 'sm4' && { encryption }),
    settings: transferSettings,
    onEnd: (tx, job, end) => audit.within(tx, endedEvent(job, end, hospitalId)),
    onComplete: async (tx, job) => {
      await audit.within(tx, receivedEvent(job, hospitalId))
      if (job.purpose === 'push') await forwarder.studyArrived(tx, job.studyInstanceUid)
      tx.afterCommit(() => {
        onComplete()
        void cache.trim()
      })
    },
  }) // prettier-ignore
  const cache = new RegionalCache({
    db, log,
    archive: regional,
    engine: transfers,
    limitBytes: () => parts.cacheTerms()?.cacheBytes ?? settings.transfer.regionalCacheBytes,
    leaves: () => parts.cacheTerms()?.cacheLeaves ?? 'least-recently-opened',
    studiesInUse: () => studiesOfOpenConsults(db),
    onLeft: (study, sizeBytes) => audit.note({ action: 'study.delete', outcome: 'success', object: { type: 'study', id: study }, reason: 'regional cache', facts: { sizeBytes, source: `${hospitalId}/regional` } }),
  }) // prettier-ignore
  const owner = new TransferOwner({
    coder, hospitalId, inHospital, regional, access, assertions, log, metrics, audit,
    line: region.line,
    trust: () => region.trust,
    sessionMs: settings.transfer.sessionMs,
    piecesAtOnce: () => parameters.current.uploadThreads ?? Number.POSITIVE_INFINITY,
  }) // prettier-ignore
  return { coder, forwarder, transfers, owner, cache }
}
