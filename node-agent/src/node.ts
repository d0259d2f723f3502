import { HealthWatch, retire, type Log } from 'service-kit'
import type { LiveEvent } from 'specs'
import { LiveAudience } from './access/live-audience.ts'
import { AssertionDesk } from './assertion/admit.ts'
import { asserter } from './assertion/assert.ts'
import { Arrivals } from './audit/arrivals.ts'
import { patientKeysOf } from './audit/patient-keys.ts'
import { RegionReports } from './audit/region-reports.ts'
import type { NodeSettings } from './config.ts'
import type { Consults } from './consult/consults.ts'
import { eraseConsults } from './consult/erase.ts'
import { findConsult } from './consult/store.ts'
import { ExamIntake } from './exam/intake.ts'
import { forgetPseudonyms } from './export/project.ts'
import { joinSharing } from './grant/join.ts'
import { openAcquisition } from './node/acquisition.ts'
import type { CampusKeeper } from './matching/campus.ts'
import { eraseCorrections } from './matching/store.ts'
import type { Commitments } from './commitment/commitments.ts'
import { openCommitments } from './node/commitment.ts'
import { openCompression } from './node/compression.ts'
import { openConsultation } from './node/consultation.ts'
import { openDevices } from './node/devices.ts'
import { startDicom } from './node/dicom.ts'
import { openGround } from './node/ground.ts'
import { addHttpFaces } from './node/http.ts'
import { openIdentity } from './node/identity.ts'
import { openImages } from './node/images.ts'
import { openMatching } from './node/matching.ts'
import { openRegion } from './node/region.ts'
import { openRights } from './node/rights.ts'
import { PlatformParameters } from './parameters/platform-parameters.ts'
import { openStorage } from './node/storage.ts'
import { refusalTeller } from './refusal/edge.ts'
import { RefusalBook } from './refusal/refusal-book.ts'
import type { Region } from './region/region.ts'
import { Retention } from './retention/retention.ts'
import { ServiceSwitches } from './service/switches.ts'
import type { StorageDesk } from './storage/desk.ts'
import type { Router } from './routing/router.ts'
import { addDocumentRoutes } from './transfer/document-routes.ts'
import type { TransferEngine } from './transfer/engine.ts'
import { ImageDocuments } from './transfer/image-documents.ts'
import { eraseOfExam } from './worklist/store.ts'

export interface RunningNode {
  /** As they listen, also when the configuration said port 0. */
  readonly httpPort: number
  readonly dimsePort: number
  readonly dimseTlsPort: number | undefined
  readonly region: Region
  readonly stop: () => Promise<void>
}

const UPKEEP_EVERY_MS = 3_600_000

/**
 * Builds a hospital's node and joins its parts (`node/`), from the ground up. Everything inside the hospital works before a region
 * is joined and while it cannot be reached.
 *
 * @throws An Error for the administrator when a database cannot be opened or a port is taken.
 */
export async function startNode(settings: NodeSettings, log: Log): Promise<RunningNode> {
  const ground = await openGround(settings, log)
  const { db, hospitalId, vault, inHospital, regional, encryption, codecs } = ground

  // Parts that earlier ones speak to, but only once everything runs.
  const later: { region?: Region; audience?: LiveAudience; transfers?: TransferEngine; consults?: Consults; router?: Router; storage?: StorageDesk; campuses?: CampusKeeper; commitments?: Commitments } = {}
  const announce = (event: LiveEvent) => {
    later.audience?.publish(event)
    if (event.type !== 'exam') return
    later.router?.examChanged(event.examId)
    later.campuses?.examChanged(event.examId)
  }
  const identity = await openIdentity(ground, announce, () => later.region)
  const { audit, outbound, accounts, face } = identity
  const devices = await openDevices(ground, { audit })
  const intake = new ExamIntake({ db, archive: inHospital, log, placeOf: devices.placeOf, onChange: (examId) => announce({ type: 'exam', examId }) })
  const region = await openRegion(ground, { announce, outbound, intake, transfersActive: () => later.transfers?.activeCount ?? 0 })
  later.region = region

  const patientKeyOf = patientKeysOf({ db, audit, hospitalId, archive: inHospital })
  const arrivals = new Arrivals({ audit, hospitalId, patientKeyOf, archives: [inHospital, regional] })
  const reports = await RegionReports.open({ db, hospitalId, trail: audit, line: region.line, trust: () => region.trust })
  const health = new HealthWatch({ face, trail: audit, onChange: (change) => void reports.tellHealth(change) })
  const rights = await openRights(ground, { audit, region, intake, patientKeyOf })
  const { access, register, policy, tasksOfStudy } = rights
  later.audience = new LiveAudience({
    log,
    studies: rights.audience,
    consultOf: (taskId) => findConsult(db, taskId),
    publish: (event, forWhom) => face.events.publish(event, forWhom),
  }) // prettier-ignore

  const assert = asserter({ hospitalId, identity: () => region.identity, now: Date.now })
  const assertions = new AssertionDesk({ db, hospitalId, trust: () => region.trust, now: Date.now })
  const between = { announce, accounts, audit, outbound, region, access, assert, assertions }
  const parameters = await PlatformParameters.open({
    db, vault, log, audit,
    line: region.line,
    regionId: () => ground.joined.activeId,
    regionName: () => region.membership?.regionName,
    configured: settings.transfer,
    onChange: () => later.transfers?.wake(),
    useBucket: async (s3) => later.storage?.saveBucket({ name: '区域平台' }, { ...s3, storeId: 'platform', name: '区域平台', pathStyle: true, caPem: '', serverSideEncryption: '', reason: '区域平台下发的存储参数' }),
  }) // prettier-ignore
  region.onConnected(() => parameters.refresh())
  const images = openImages(ground, { ...between, cacheTerms: () => later.storage?.policy('regional'), parameters, router: () => later.router, onComplete: () => later.consults?.imagesComplete() })
  const { transfers, forwarder, coder, cache } = images
  later.transfers = transfers
  const compressor = await openCompression(ground, { audit })
  const acquiring = openAcquisition(ground, { announce, audit, outbound, forwarder: () => forwarder, commitments: () => later.commitments })
  later.router = acquiring.router
  const consultation = await openConsultation(ground, { ...between, transfers })
  const { signing, consults } = consultation
  later.consults = consults
  const refusals = await RefusalBook.open({ db, log })
  const refused = refusalTeller({ audit, book: refusals, region })
  const sharing = joinSharing({ ...between, db, log, vault, hospitalId, regional, transfers, tasksOfStudy, settings: settings.crossHospital, face })
  addDocumentRoutes(face, new ImageDocuments({ ...between, db, log, coder, hospitalId, inHospital, regional, held: sharing.held, timeoutMs: settings.transfer.pieceTimeoutMs }))
  const retention = await Retention.open({
    db, log, audit, hospitalId,
    archive: inHospital,
    onDestroy: async (tx, { examId, patientId, study, reason }) => ({
      ...(await eraseOfExam(tx, examId)),
      consultations: await eraseConsults(tx, { examId, study, here: hospitalId }),
      copiesAt: study === null ? [] : await sharing.erase(tx, study, reason),
      corrections: study === null ? 0 : await eraseCorrections(tx, study),
      pseudonyms: study === null ? 0 : await forgetPseudonyms(tx, vault, { study, patientId }),
    }),
  }) // prettier-ignore
  const storage = await openStorage(ground, { face, access, audit, outbound, retention, announce })
  later.storage = storage
  const switches = await ServiceSwitches.open({ db, log, audit })
  const { corrections, campuses } = await openMatching(ground, { face, access, audit, announce, owner: images.owner, hospitalName: () => region.nameOf(hospitalId) })
  const commitments = (later.commitments = openCommitments(ground, { audit, access, outbound, devices, face, kinds: () => region.hospital?.kinds ?? [] }))
  const http = await addHttpFaces(ground, {
    ...identity, ...rights, ...images, ...consultation,
    ...acquiring, compressor, parameters, announce, devices, region, refusals, refused, arrivals, reports, retention, sharing, switches, health,
  }) // prettier-ignore

  await retention.start()
  await intake.start()
  await corrections.start()
  later.campuses = campuses
  campuses.start()
  await forwarder.start()
  await parameters.start()
  await transfers.start()
  region.onConnected(() => transfers.wake())
  regional.whenOpen(() => transfers.wake())
  await region.start()
  await consults.resume()
  sharing.start()
  region.onConnected(() => void reports.report())
  compressor.start()
  await health.start()
  const upkeep = setInterval(() => void retire(audit).catch((error: unknown) => log.error({ err: error }, 'old audit records not removed')), UPKEEP_EVERY_MS)
  const dicom = await startDicom(ground, { audit, access, register, refused, outbound, devices, commitments, announce })
  await commitments.start()
  await acquiring.start()
  const { port: httpPort } = await face.listen({ ...settings.http, setting: 'http.port' })

  /** From the edges inwards: nothing new comes in, what is under way finishes, then the ground goes. */
  async function stop(): Promise<void> {
    await Promise.all([face.drain(settings.drainMs), dicom.close(settings.drainMs)])
    http.exportDesk.abort()
    await face.close()
    await transfers.stop()
    await cache.stop()
    await acquiring.stop()
    await commitments.stop()
    await forwarder.stop()
    await region.stop()
    await parameters.stop()
    await consults.stop()
    await sharing.stop()
    await signing.stop()
    await corrections.stop()
    await campuses.stop()
    await intake.stop()
    await retention.stop()
    await policy.stop()
    await switches.stop()
    await compressor.stop()
    await codecs.close()
    await coder.close()
    await inHospital.close()
    await regional.close()
    storage.stop()
    await encryption.close()
    await ground.digests.close()
    await refusals.close()
    clearInterval(upkeep)
    await arrivals.stop()
    await health.stop()
    await http.syslog?.stop()
    await reports.stop()
    await http.verifications.close()
    await audit.close()
    await http.resealing.stop()
    vault.close()
    await db.close()
  }
  return { httpPort, dimsePort: dicom.port, dimseTlsPort: dicom.tlsPort, region, stop }
}
