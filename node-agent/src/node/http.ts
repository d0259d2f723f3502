import { addAuditRoutes, addFaultRoutes, addPostureRoutes, addVaultRoutes, Resealing, sealedAccountColumns, SyslogFeeder, type HealthWatch } from 'service-kit'
import { Problem, type LiveEvent } from 'specs'
import type { Acquisition } from '../acquisition/query-retrieve/engine.ts'
import type { Importer } from '../acquisition/import/importer.ts'
import { addImportRoutes } from '../acquisition/import/routes.ts'
import { addAcquisitionRoutes } from '../acquisition/query-retrieve/routes.ts'
import { BreakGlassDesk } from '../access/break-glass.ts'
import { addBreakGlassRoutes } from '../access/break-glass-routes.ts'
import { addExplainRoutes } from '../access/explain-routes.ts'
import { addRuleRoutes } from '../access/policy/rule-routes.ts'
import { findRule } from '../access/policy/rule-store.ts'
import { deviceSubject, subjectOf } from '../access/policy/subject.ts'
import { factsWhere } from '../access/register-facts.ts'
import { NodeStudySource } from '../access/study-source.ts'
import type { Arrivals } from '../audit/arrivals.ts'
import { objectsOfPatient } from '../audit/patient-keys.ts'
import type { RegionReports } from '../audit/region-reports.ts'
import { addStudyLogRoute } from '../audit/study-log.ts'
import { addWitnessRoutes } from '../audit/witness-routes.ts'
import type { Consults } from '../consult/consults.ts'
import { addConsultRoutes } from '../consult/routes.ts'
import { consultsOfStudy, newestOfExams } from '../consult/store.ts'
import { addUnansweredRoutes } from '../consult/unanswered-routes.ts'
import { createRenderer } from '../dicom/render/renderer.ts'
import { transcode } from '../dicom/transcode/transcode.ts'
import { peerGate } from '../dicom-node/peer-gate.ts'
import { addReceivingRoutes } from '../dicom-node/receiving-routes.ts'
import { addDicomNodeRoutes } from '../dicom-node/routes.ts'
import { addDicomSettingsRoutes } from '../dicom-node/settings-routes.ts'
import type { OnUnmask } from '../dicomweb/identity-export.ts'
import type { Transcode } from '../dicomweb/retrieve.ts'
import { mountDicomWeb } from '../dicomweb/routes.ts'
import { addLabelRoutes } from '../exam/label-routes.ts'
import { addExamRoutes } from '../exam/routes.ts'
import { ExportDesk } from '../export/export-desk.ts'
import { addExportRoutes } from '../export/routes.ts'
import { sealedExports } from '../export/tables.ts'
import type { Sharing } from '../grant/join.ts'
import { addHospitalRoutes } from '../hospital/routes.ts'
import { sealedContact } from '../patient/contact.ts'
import { addPatientRoutes } from '../patient/routes.ts'
import type { Forwarder } from '../routing/forwarder.ts'
import type { Router } from '../routing/router.ts'
import { addRoutingRoutes } from '../routing/routes.ts'
import type { TellRefusal } from '../refusal/edge.ts'
import type { RefusalBook } from '../refusal/refusal-book.ts'
import { addRefusalRoutes } from '../refusal/routes.ts'
import { sealedPlatformParameters, type PlatformParameters } from '../parameters/platform-parameters.ts'
import { addParametersRoutes } from '../parameters/routes.ts'
import type { Region } from '../region/region.ts'
import { addRegionRoutes } from '../region/routes.ts'
import type { Retention } from '../retention/retention.ts'
import { addRetentionRoutes } from '../retention/routes.ts'
import type { OwnKeys } from '../signing/own-keys.ts'
import type { Compressor } from '../archive/compression/compressor.ts'
import { addCompressionRoutes } from '../archive/compression/routes.ts'
import { addStudyRoutes } from '../study/routes.ts'
import { sealedBuckets } from '../storage/settings-store.ts'
import { addServiceRoutes } from '../service/routes.ts'
import type { ServiceSwitches } from '../service/switches.ts'
import { addSigningRoutes } from '../signing/routes.ts'
import type { TransferEngine } from '../transfer/engine.ts'
import type { TransferOwner } from '../transfer/owner.ts'
import { addTransferRoutes } from '../transfer/routes.ts'
import { mountWadoUri } from '../wado-uri/routes.ts'
import { addWorklistRoutes } from '../worklist/routes.ts'
import type { Devices } from './devices.ts'
import type { Ground } from './ground.ts'
import type { NodeIdentity } from './identity.ts'
import type { NodeRights } from './rights.ts'

export interface HttpParts extends NodeIdentity, NodeRights {
  readonly compressor: Compressor
  readonly devices: Devices
  readonly announce: (event: LiveEvent) => void
  readonly region: Region
  readonly refusals: RefusalBook
  readonly refused: TellRefusal
  readonly arrivals: Arrivals
  readonly reports: RegionReports
  readonly retention: Retention
  readonly forwarder: Forwarder
  readonly router: Router
  readonly parameters: PlatformParameters
  readonly acquisition: Acquisition
  readonly importer: Importer
  readonly transfers: TransferEngine
  readonly owner: TransferOwner
  readonly signing: OwnKeys
  readonly consults: Consults
  readonly sharing: Sharing
  readonly switches: ServiceSwitches
  readonly health: HealthWatch
}

/** What this node answers over HTTP, gathered by whom it is for; nobody can call before the face listens. */
export async function addHttpFaces(ground: Ground, parts: HttpParts) {
  addStaffRoutes(ground, parts)
  const administration = await addAdministrationRoutes(ground, parts)
  const exportDesk = mountImages(ground, parts)
  addPages(ground, parts)
  return { ...administration, exportDesk }
}

/** Exams, patients, consultations and images on the way: the daily work. */
function addStaffRoutes({ settings, db, vault, joined, hospitalId }: Ground, parts: HttpParts): void {
  const { face, announce, region, access, audience, audit, consults, signing, transfers, owner, retention } = parts
  const newestConsults = (examIds: readonly string[]) => newestOfExams(db, examIds)
  const { listing } = settings.access
  addHospitalRoutes(face, { region, hospitalId })
  addExamRoutes(face, { db, access, vault, clinicians: settings.privacy.clinicians, hospitalId, regionId: () => joined.activeId, newestConsults, announce, audit, listing })
  addWorklistRoutes(face, { db, access, hospitalId, audit, announce })
  addRetentionRoutes(face, { db, retention, access, hospitalId })
  addPatientRoutes(face, { db, access, vault, hospitalId, consults, audit, newestConsults })
  addLabelRoutes(face, { db, access, audit, hospitalId, announce })
  addUnansweredRoutes(face, { db, unanswered: consults.unanswered, region, audience })
  addConsultRoutes(face, { consults, signer: signing, db })
  addSigningRoutes(face, { keys: signing, db })
  addTransferRoutes(face, { db, engine: transfers, owner, audience, hospitalId, audit })
}

/** Region, trail, vault, rules and devices: what administrators and auditors look after. */
async function addAdministrationRoutes(ground: Ground, parts: HttpParts) {
  const { settings, db, log, vault, joined, hospitalId, inHospital, regional, keyFolder } = ground
  const { face, devices, announce, region, refused, refusals, audit, accounts, outbound, access, audience, register, policy, arrivals, reports, forwarder, router, acquisition, switches, health } = parts
  const sealedKeys = { table: 'signing_key', key: 'key_id', column: 'sealed_key', context: (keyId: string) => `signing-key/${keyId}` }
  const resealing = new Resealing({ db, vault, log, columns: [...sealedAccountColumns, ...sealedContact, ...sealedExports, ...sealedBuckets, sealedPlatformParameters, sealedKeys] })
  addVaultRoutes(face, { vault, resealing, audit })
  addRegionRoutes(face, region, joined, (problem, hubUrl) => refused({ service: 'join', peer: '', address: hubUrl, problem }), audit)
  if (settings.audit.syslog) await outbound.check('syslog', settings.audit.syslog.host)
  const syslog = settings.audit.syslog && (await SyslogFeeder.start(audit, settings.audit.syslog))
  const verifications = addAuditRoutes(face, {
    trail: audit,
    objectsOfPatient: (patientId) => objectsOfPatient(db, patientId),
    rootPems: () => (region.membership ? [region.membership.rootCertificate] : []),
    witnesses: () => reports.witnesses(),
    syslog: async () => (await syslog?.status()) ?? null,
  })
  addPostureRoutes(face, { accounts, trail: audit, verifications })
  addFaultRoutes(face, audit)
  addRuleRoutes(face, { db, audit, announce, book: policy, settings: { listing: settings.access.listing, breakGlass: settings.access.breakGlass, export: settings.access.export } })
  addBreakGlassRoutes(face, new BreakGlassDesk({
    db, audit, hospitalId,
    book: policy,
    settings: settings.access.breakGlass,
    onChange: (breakGlassId, state) => announce({ type: 'break-glass', breakGlassId, state }),
  })) // prettier-ignore
  const rightsOf = (aeTitle: string) => devices.callers.rightsOf(aeTitle)
  addExplainRoutes(face, {
    access, hospitalId,
    subjectOf: async (who) => {
      if (who.kind === 'user') return subjectOf(await accounts.userOf(who.id))
      const device = await rightsOf(who.aeTitle)
      if (device === undefined) throw new Problem('dimse/unknown-ae', { aeTitle: who.aeTitle })
      return deviceSubject(who.aeTitle, device)
    },
    examOf: async (exam) => (await factsWhere(db, hospitalId, exam))[0],
    ruleOf: (ruleId) => findRule(db, ruleId),
  }) // prettier-ignore
  addWitnessRoutes(face, db)
  addStudyLogRoute(face, { trail: audit, access, hospitalId, nameOf: (party) => region.directory?.hospitals.find(({ id }) => id === party)?.name ?? party, flush: () => arrivals.flush().then(() => audit.flush()) })
  addRefusalRoutes(face, {
    book: refusals, region, audience,
    isKnown: async (exam) => (await register.factsOf(exam)) !== undefined || (exam.study !== undefined && (await consultsOfStudy(db, exam.study)).length > 0),
  }) // prettier-ignore
  addDicomNodeRoutes(face, { db, callingAeTitle: settings.dimse.aeTitle, isMemberOf: (id) => joined.includes(id), audit, outbound, gate: peerGate({ outbound, keyFolder }), log })
  addDicomSettingsRoutes(face, { settings: devices.settings, configured: devices.configured, aeTitle: settings.dimse.aeTitle, listening: () => devices.later.listening })
  addReceivingRoutes(face, {
    db, audit, access, register, inHospital, regional,
    own: { aeTitle: settings.dimse.aeTitle, ports: () => [devices.later.listening?.port ?? 0, devices.later.listening?.tlsPort ?? 0] },
    ports: () => devices.later.ports,
  }) // prettier-ignore
  addRoutingRoutes(face, { db, router, forwarder, archive: ground.inHospital, audience, audit })
  addAcquisitionRoutes(face, { db, acquisition, audience, audit })
  addParametersRoutes(face, parts.parameters)
  addServiceRoutes(face, { switches, onSwitched: () => health.look() })
  return { resealing, syslog, verifications }
}

/** DICOMweb and WADO-URI over what this hospital holds and what it may fetch, and packages of what people take out. */
function mountImages({ settings, db, log, vault, codecs, hospitalId, inHospital, regional }: Ground, parts: HttpParts) {
  const { face, accounts, audit, access, register, exports, refused, transfers, consults, sharing, region, switches } = parts
  const { listing } = settings.access
  const source = new NodeStudySource({ db, access, register, held: sharing.held, exports, listing, inHospital, regional, transfers, consults })
  const renderer = createRenderer({ log, codecs })
  addStudyRoutes(face, { source })
  addCompressionRoutes(face, { db, audit, onChange: () => parts.compressor.wake() })
  /** Files with names in them leave only when the trail knows it. */
  const onUnmask: OnUnmask = async (_user, study, reason) =>
    audit.record({ action: 'patient.unmask', outcome: 'success', object: { type: 'study', id: study, owner: hospitalId }, reason, basis: 'export' })
  const transcodeHere: Transcode = (file, syntax) => transcode(file, syntax, { codecs, turn: { lane: 'dicomweb' } })
  mountDicomWeb(face, { source, renderer, transcode: transcodeHere, onUnmask, onRefusal: ({ problem, username, remoteAddress }) => refused({ service: 'stow', peer: username, address: remoteAddress, problem }), serving: (service) => switches.check(service) })
  addImportRoutes(face, { db, importer: parts.importer, audience: parts.audience, storingFor: (user) => source.storing(user) })
  mountWadoUri(face, { source, renderer, transcode: transcodeHere, onUnmask, serving: () => switches.check('wado-uri') })
  const exportDesk = new ExportDesk({ db, vault, log, audit, access, exports, hospitalId, inHospital, renderer, hospitalName: () => region.nameOf(hospitalId), settings: settings.access.export })
  accounts.onSessionEnd((sessionId) => exportDesk.abort(sessionId))
  addExportRoutes(face, exportDesk)
  return exportDesk
}

/** The pages, and what the state of health is made of. */
function addPages({ settings, inHospital, regional }: Ground, { face, region, audit }: HttpParts): void {
  face.pages('/desk', settings.pages.desk)
  face.pages('/viewer', settings.pages.viewer)
  face.redirect('/', '/desk/')
  face.check('link', () => ({ state: region.link?.status().state ?? 'not-joined' }), { critical: false })
  face.check('storage', async () => {
    if ((await inHospital.freeBytes()) < settings.archive.minFreeBytes) throw new Error('out of storage space')
    return undefined
  }, { critical: false }) // prettier-ignore
  // What a new version still does to the tables of a large archive; nobody waits for it.
  face.check('archive-upkeep', () => ({ left: [...inHospital.upkeep(), ...regional.upkeep()].map(({ name, state, done, total }) => ({ name, state, done, total })) }), { critical: false })
  face.check('regional-archive', async () => {
    if (regional.absence) throw new Problem('archive/unavailable', { archive: regional.name, ...regional.absence })
    await regional.instance('') // one question to its database, which may have gone since
    return undefined
  }, { critical: false }) // prettier-ignore
  face.check('audit', () => audit.health(), { critical: false })
}
