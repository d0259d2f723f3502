import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { addAuditRoutes, addFaultRoutes, addPostureRoutes, createAccounts, createHttpFace, createMetrics, HealthWatch, openDatabase, Outbound, retire, kekSourceOf, addVaultRoutes, Resealing, sealedAccountColumns, Vault, SyslogFeeder, Trail, type HttpFace, type Log } from 'service-kit'
import { nodeRoles, Problem, type LiveEvent } from 'specs'
import { AccessControl } from './access/access-control.ts'
import { BreakGlassDesk } from './access/break-glass.ts'
import { addBreakGlassRoutes } from './access/break-glass-routes.ts'
import { addExplainRoutes } from './access/explain-routes.ts'
import { ImageExports } from './access/image-export.ts'
import { LiveAudience } from './access/live-audience.ts'
import { queryFor, storageFor } from './access/dicom-services.ts'
import { PolicyBook } from './access/policy/policy-book.ts'
import { addRuleRoutes } from './access/policy/rule-routes.ts'
import { findRule } from './access/policy/rule-store.ts'
import { deviceSubject, subjectOf } from './access/policy/subject.ts'
import { policyMigrations } from './access/policy/tables.ts'
import { ExamRegister, factsWhere } from './access/register-facts.ts'
import { grantMigrations } from './access/grant-store.ts'
import { NodeStudySource } from './access/study-source.ts'
import { AccessEvents } from './audit/access-events.ts'
import { Arrivals } from './audit/arrivals.ts'
import { edgeRefusalEvent, receivedEvent } from './audit/edge-events.ts'
import { objectsOfPatient, patientKeysOf } from './audit/patient-keys.ts'
import { RegionReports } from './audit/region-reports.ts'
import { addStudyLogRoute } from './audit/study-log.ts'
import { addWitnessRoutes } from './audit/witness-routes.ts'
import { openArchive, type ArchiveName } from './archive/archive.ts'
import { AssertionDesk, assertionMigrations } from './assertion/admit.ts'
import { asserter } from './assertion/assert.ts'
import { databaseOf, type NodeSettings } from './config.ts'
import { Consults } from './consult/consults.ts'
import { taskViewOf } from './consult/consult.ts'
import { makeKeyObject } from './consult/key-images.ts'
import { addConsultRoutes } from './consult/routes.ts'
import { addUnansweredRoutes } from './consult/unanswered-routes.ts'
import { consultsOfStudy, findConsult, newestOfExams, studiesOfOpenConsults } from './consult/store.ts'
import { createRenderer } from './dicom/render/renderer.ts'
import type { OnUnmask } from './dicomweb/identity-export.ts'
import { mountDicomWeb } from './dicomweb/routes.ts'
import { mountWadoUri } from './wado-uri/routes.ts'
import { Forwarder } from './dicom-node/forward.ts'
import { addDicomNodeRoutes } from './dicom-node/routes.ts'
import { anyDevice, dicomNodeMigrations, placeOfCaller, regionOfCaller, rightsOfCaller } from './dicom-node/store.ts'
import { startSecureDimse } from './dimse/secure-service.ts'
import { startDimseServer, type DimseServerOptions } from './dimse/server.ts'
import { ExamIntake } from './exam/intake.ts'
import { contactMigrations, sealedContact } from './patient/contact.ts'
import { Retention } from './retention/retention.ts'
import { addRetentionRoutes } from './retention/routes.ts'
import { addPatientRoutes } from './patient/routes.ts'
import { patientTokenMigrations } from './patient/token.ts'
import { addLabelRoutes } from './exam/label-routes.ts'
import { addExamRoutes } from './exam/routes.ts'
import { adoptExams, examMigrations } from './exam/store.ts'
import { joinSharing } from './grant/join.ts'
import { heldForStudy, withdrawalOf } from './grant/held-store.ts'
import { sharingMigrations } from './grant/tables.ts'
import { addHospitalRoutes } from './hospital/routes.ts'
import { JoinedRegions, unassigned } from './region/joined-regions.ts'
import { regionMigrations } from './region/membership.ts'
import { Region } from './region/region.ts'
import { addRegionRoutes } from './region/routes.ts'
import { RefusalBook } from './refusal/refusal-book.ts'
import { addRefusalRoutes } from './refusal/routes.ts'
import type { EdgeRefusal } from './refusal/store.ts'
import { signingMigrations } from './signing/key-store.ts'
import { OwnKeys } from './signing/own-keys.ts'
import { addSigningRoutes } from './signing/routes.ts'
import { CipherThread } from './transfer/cipher-thread.ts'
import { TransferEngine } from './transfer/engine.ts'
import { TransferOwner } from './transfer/owner.ts'
import { RegionalCache } from './transfer/regional-cache.ts'
import { addTransferRoutes } from './transfer/routes.ts'
import { transferMigrations } from './transfer/store.ts'
import { VERSION } from './version.ts'

export interface RunningNode {
  /** As they listen, also when the configuration said port 0. */
  readonly httpPort: number
  readonly dimsePort: number
  readonly dimseTlsPort: number | undefined
  readonly region: Region
  readonly stop: () => Promise<void>
}

/**
 * Builds a hospital's node and joins its parts; the only place where that happens. Everything inside the hospital works
 * before a region is joined and while it cannot be reached.
 *
 * @throws An Error for the administrator when a database cannot be opened or a port is taken.
 */
export async function startNode(settings: NodeSettings, log: Log): Promise<RunningNode> {
  const { hospital, dataFolder } = settings
  const hospitalId = hospital.id
  const metrics = createMetrics()
  await mkdir(join(dataFolder, 'incoming'), { recursive: true })
  const db = await openDatabase(databaseOf(settings, 'node'))
  await db.migrate('region', regionMigrations)
  await db.migrate('grant', grantMigrations)
  await db.migrate('assertion', assertionMigrations)
  await db.migrate('sharing', sharingMigrations)
  await db.migrate('exam', examMigrations)
  await db.migrate('patient', contactMigrations)
  await db.migrate('patient-token', patientTokenMigrations)
  await db.migrate('transfer', transferMigrations)
  await db.migrate('dicom-node', dicomNodeMigrations)
  await db.migrate('access', policyMigrations)
  const vault = await Vault.open({ db, kek: kekSourceOf(settings.vault) })
  const joined = await JoinedRegions.open(db, settings.region.id)

  const open = async (name: ArchiveName) =>
    openArchive({
      name, hospitalId, log, metrics,
      db: await openDatabase(databaseOf(settings, `archive-${name}`)),
      root: join(dataFolder, `archive-${name}`),
      regionId: () => joined.activeId,
      minFreeBytes: settings.archive.minFreeBytes,
      registrationRetries: settings.archive.registrationRetries,
      registrationRetryMs: settings.archive.registrationRetryMs,
      ...(settings.archive.pathTemplate && { pathTemplate: settings.archive.pathTemplate }),
    }) // prettier-ignore
  const inHospital = await open('in-hospital')
  const regional = await open('regional')

  // The trail is opened first of all and may want to sign before there is a region or an audience.
  const later: { region?: Region; audience?: LiveAudience } = {}
  const announce = (event: LiveEvent) => later.audience?.publish(event)
  const audit = await Trail.open({
    log, metrics,
    database: settings.audit.database,
    settings: settings.audit,
    party: hospitalId,
    keyFolder: join(dataFolder, 'keys'),
    safe: vault,
    callers: [db],
    identity: () => (later.region?.membership ? later.region.identity : undefined),
    onState: (available) => announce({ type: 'audit', state: available ? 'ok' : 'failing' }),
  }) // prettier-ignore
  const outbound = new Outbound({ config: settings.outbound, own: { host: settings.http.host, behindProxy: settings.http.plain === 'behind-proxy' || settings.http.trustProxy } })
  const accounts = await createAccounts({
    outbound,
    db, log, audit, vault, party: hospitalId, roles: nodeRoles,
    identity: settings.identity,
    extra: () => ({ hospital: { id: hospitalId, name: region.nameOf(hospitalId) } }),
  }) // prettier-ignore
  for (const account of settings.accounts) await accounts.ensure(account)
  const face = createHttpFace({ name: hospitalId, version: VERSION, log, metrics, accounts, audit, trustProxy: settings.http.trustProxy, limits: settings.http.limits })

  const dicomAddressOf = async (host: string) => (await outbound.addressOf('dicom-node', host)).address

  const region: Region = await Region.open({
    db, log, metrics, hospitalId, announce, joined,
    hospitalName: hospital.name,
    keyFolder: join(dataFolder, 'keys'),
    safe: vault,
    dualCertificates: settings.region.dualCertificates,
    natsUrl: settings.region.natsUrl,
    outbound,
    hubCa: settings.region.hubCaFile === undefined ? undefined : await readFile(settings.region.hubCaFile, 'utf8'),
    heartbeatMs: settings.region.heartbeatMs,
    requestTimeoutMs: settings.region.requestTimeoutMs,
    version: VERSION,
    statusOf: async () => {
      const [a, b] = [inHospital.totals(), regional.totals()]
      return { studies: a.studies + b.studies, instances: a.instances + b.instances, freeBytes: await inHospital.freeBytes(), transfersActive: transfers.activeCount }
    },
    adoptUnassigned: async (regionId) => {
      const studies = (await inHospital.adoptRegion(unassigned, regionId)) + (await regional.adoptRegion(unassigned, regionId))
      await intake.flush() // what it learned of studies before they were given away
      const exams = await db.write((tx) => adoptExams(tx, unassigned, regionId))
      if (studies + exams > 0) log.info({ regionId, studies, exams }, 'what was here before joining belongs to the region')
    },
  }) // prettier-ignore
  later.region = region

  const patientKeyOf = patientKeysOf({ db, audit, hospitalId, archive: inHospital })
  const arrivals = new Arrivals({ audit, hospitalId, patientKeyOf, archives: [inHospital, regional] })
  const reports = await RegionReports.open({ db, hospitalId, trail: audit, line: region.line, trust: () => region.trust })
  const health = new HealthWatch({ face, trail: audit, onChange: (change) => void reports.tellHealth(change) })
  const { listing } = settings.access
  const policy = await PolicyBook.open({ db, log, relation: settings.access.relation })
  const register = new ExamRegister({ db, hospitalId, settle: () => intake.flush() })
  const tasksOfStudy = async (study: string) =>
    Promise.all(
      (await consultsOfStudy(db, study)).map(async (consult) => {
        const { owner, grantId } = consult.facts.grant.grant
        const grantWithdrawnAt = owner === hospitalId ? undefined : await withdrawalOf(db, owner, grantId)
        return { ...taskViewOf(consult), ...(grantWithdrawnAt !== undefined && { grantWithdrawnAt }) }
      }),
    )
  const access = new AccessControl({
    db, log, hospitalId, policy,
    factsOf: (exam) => register.factsOf(exam),
    kinds: () => region.hospital?.kinds ?? [],
    tasksOfStudy,
    heldGrants: (study) => heldForStudy(db, study),
    withdrawalOf: (owner, grantId) => withdrawalOf(db, owner, grantId),
    events: new AccessEvents(audit, hospitalId, patientKeyOf),
  }) // prettier-ignore
  later.audience = new LiveAudience({
    access, log,
    factsOf: (exam) => register.factsOf(exam),
    consultOf: (taskId) => findConsult(db, taskId),
    publish: (event, forWhom) => face.events.publish(event, forWhom),
  }) // prettier-ignore
  const exports = new ImageExports({ db, audit, settings: settings.access.export })

  const assert = asserter({ hospitalId, identity: () => region.identity, now: Date.now })
  const assertions = new AssertionDesk({ db, hospitalId, trust: () => region.trust, now: Date.now })
  const coder = new CipherThread(log)
  const forwarder = new Forwarder({ db, archive: regional, callingAeTitle: settings.dimse.aeTitle, addressOf: dicomAddressOf, log })
  const transfers: TransferEngine = new TransferEngine({
    db, log, metrics, announce, coder, assert,
    line: region.line,
    archive: regional,
    folder: join(dataFolder, 'incoming'),
    settings: settings.transfer,
    onComplete: async (tx, job) => {
      await audit.within(tx, receivedEvent(job, hospitalId))
      if (job.purpose === 'push') await forwarder.studyArrived(tx, job.studyInstanceUid)
      tx.afterCommit(() => {
        consults.imagesComplete()
        void cache.trim()
      })
    },
  }) // prettier-ignore
  const cache = new RegionalCache({
    db,
    log,
    archive: regional,
    engine: transfers,
    limitBytes: settings.transfer.regionalCacheBytes,
    studiesInUse: () => studiesOfOpenConsults(db),
    onLeft: (study, sizeBytes) => audit.note({ action: 'study.delete', outcome: 'success', object: { type: 'study', id: study }, reason: 'regional cache', facts: { sizeBytes, source: `${hospitalId}/regional` } }),
  })
  const owner = new TransferOwner({
    coder,
    hospitalId,
    line: region.line,
    inHospital,
    regional,
    access,
    assertions,
    trust: () => region.trust,
    log,
    metrics,
    audit,
    sessionMs: settings.transfer.sessionMs,
  })
  await db.migrate('signing', signingMigrations)
  const signing = new OwnKeys({
    db, log, region, vault, audit, hospitalId,
    settings: settings.signing,
    confirmPassword: (username, password, origin) => accounts.signIns.confirmPassword(username, password, origin),
  }) // prettier-ignore
  accounts.onChange(() => signing.endOfDisabled())
  accounts.onSessionEnd((sessionId) => signing.lock(sessionId))
  const consults: Consults = await Consults.open({
    signer: signing,
    db, log, region, access, hospitalId, inHospital, regional, transfers, announce, audit,
    assert, assertions,
    makeKeyObject: makeKeyObject({ archive: regional, organisation: () => region.nameOf(hospitalId) }),
    settings: settings.consult,
  }) // prettier-ignore
  const intake = new ExamIntake({ db, archive: inHospital, log, placeOf: (aeTitle) => placeOfCaller(db, aeTitle), onChange: (examId) => announce({ type: 'exam', examId }) })

  addHospitalRoutes(face, { region, hospitalId })
  addExamRoutes(face, { db, access, vault, clinicians: settings.privacy.clinicians, hospitalId, regionId: () => joined.activeId, newestConsults: (examIds) => newestOfExams(db, examIds), announce, audit, listing })
  const sealedKeys = { table: 'signing_key', key: 'key_id', column: 'sealed_key', context: (keyId: string) => `signing-key/${keyId}` }
  const resealing = new Resealing({ db, vault, log, columns: [...sealedAccountColumns, ...sealedContact, sealedKeys] })
  addVaultRoutes(face, { vault, resealing, audit })
  const retention = await Retention.open({ db, log, audit, archive: inHospital, hospitalId })
  addRetentionRoutes(face, { db, retention, access, hospitalId })
  addPatientRoutes(face, { db, access, vault, hospitalId, consults, audit, newestConsults: (examIds) => newestOfExams(db, examIds) })
  addLabelRoutes(face, { db, access, audit, hospitalId, announce })
  addUnansweredRoutes(face, { unanswered: consults.unanswered, region })
  addConsultRoutes(face, { consults, signer: signing, db })
  addSigningRoutes(face, { keys: signing, db })
  addTransferRoutes(face, { db, engine: transfers, owner })
  const refusals = await RefusalBook.open({ db, log })
  /** At an edge of this node: for its own list, its pages and the administrator of the region (rule 10). */
  const refused = (refusal: Omit<EdgeRefusal, 'at' | 'code' | 'facts'> & { problem: Problem }) => {
    const { problem, service, peer, address } = refusal
    const at = Date.now()
    audit.note(edgeRefusalEvent(refusal))
    refusals.note({ at, service, code: problem.code, facts: problem.facts, peer, address })
    region.reportRefusal({ at, code: problem.code, facts: { ...problem.facts, service: service.toUpperCase(), ...(service === 'dimse' ? { callingAeTitle: peer } : { peer }), remoteAddress: address }, peer: `${peer} ${address}` })
  }
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
  addRuleRoutes(face, { db, audit, announce, book: policy, settings: { listing, breakGlass: settings.access.breakGlass, export: settings.access.export } })
  addBreakGlassRoutes(face, new BreakGlassDesk({
    db, audit, hospitalId,
    book: policy,
    settings: settings.access.breakGlass,
    onChange: (breakGlassId, state) => announce({ type: 'break-glass', breakGlassId, state }),
  })) // prettier-ignore
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
  addRefusalRoutes(face, { book: refusals, region })
  addDicomNodeRoutes(face, { db, forwarder, callingAeTitle: settings.dimse.aeTitle, isMemberOf: (id) => joined.includes(id), audit, outbound, log })
  const sharing = joinSharing({ db, log, vault, audit, region, access, assert, assertions, hospitalId, regional, transfers, tasksOfStudy, settings: settings.crossHospital, announce, face })
  const studies = new NodeStudySource({ db, access, register, held: sharing.held, exports, listing, inHospital, regional, transfers, consults })
  const renderer = createRenderer({ log })
  /** Files with names in them leave only when the trail knows it. */
  const onUnmask: OnUnmask = async (_user, study, reason) =>
    audit.record({ action: 'patient.unmask', outcome: 'success', object: { type: 'study', id: study, owner: hospitalId }, reason, basis: 'export' })
  mountDicomWeb(face, { source: studies, renderer, onUnmask, onRefusal: ({ problem, username, remoteAddress }) => refused({ service: 'stow', peer: username, address: remoteAddress, problem }) })
  mountWadoUri(face, { source: studies, renderer, onUnmask })
  addPages(face, settings, region, inHospital.freeBytes.bind(inHospital))
  face.check('audit', () => audit.health(), { critical: false })

  await retention.start()
  await intake.start()
  await forwarder.start()
  await transfers.start()
  region.onConnected(() => transfers.wake())
  await region.start()
  await consults.resume()
  sharing.start()
  region.onConnected(() => void reports.report())
  await health.start()
  const upkeep = setInterval(() => void retire(audit).catch((error: unknown) => log.error({ err: error }, 'old audit records not removed')), 3_600_000)
  const rightsOf = async (aeTitle: string) => (settings.dimse.allowAnyAe ? anyDevice : rightsOfCaller(db, aeTitle))
  const isAllowed = async (aeTitle: string) => (await rightsOf(aeTitle)) !== undefined
  // With one region there is nothing to choose, and no question to the database for every image.
  const regionOf = async (aeTitle: string) => (joined.count > 1 ? regionOfCaller(db, aeTitle) : undefined)
  const services = { access, register, inHospital, regional, rightsOf, regionOf }
  const dicomService: Omit<DimseServerOptions, 'host' | 'port'> = {
    aeTitle: settings.dimse.aeTitle,
    limits: { maxAssociations: settings.dimse.maxAssociations },
    isAllowed,
    storage: storageFor(services),
    query: queryFor(services),
    log,
    metrics,
    onAccepted: ({ callingAeTitle, remoteAddress }) =>
      audit.note({ action: 'dicom.association', outcome: 'success', actor: { kind: 'dicom-node', id: callingAeTitle, sourceIp: remoteAddress }, object: { type: 'association', id: settings.dimse.aeTitle } }),
    onRefusal: ({ problem, callingAeTitle, remoteAddress }) => refused({ service: 'dimse', peer: callingAeTitle, address: remoteAddress, problem }),
  }
  const { tls: secure, ...plain } = settings.dimse
  const secureDimse = secure && (await startSecureDimse(dicomService, secure, log))
  const plainDimse = secure?.only ? undefined : await startDimseServer({ ...dicomService, host: plain.host, port: plain.port })
  const { port: httpPort } = await face.listen({ ...settings.http, setting: 'http.port' })

  /** From the edges inwards: nothing new comes in, what is under way finishes, then the ground goes. */
  async function stop(): Promise<void> {
    await Promise.all([face.drain(settings.drainMs), plainDimse?.close({ drainMs: settings.drainMs }), secureDimse?.close({ drainMs: settings.drainMs })])
    await face.close()
    await transfers.stop()
    await forwarder.stop()
    await region.stop()
    await consults.stop()
    await sharing.stop()
    await signing.stop()
    await intake.stop()
    await retention.stop()
    await policy.stop()
    await renderer.close()
    await coder.close()
    await inHospital.close()
    await regional.close()
    await refusals.close()
    clearInterval(upkeep)
    await arrivals.stop()
    await health.stop()
    await syslog?.stop()
    await reports.stop()
    await verifications.close()
    await audit.close()
    await resealing.stop()
    vault.close()
    await db.close()
  }
  return { httpPort, dimsePort: plainDimse?.port ?? secureDimse?.port ?? 0, dimseTlsPort: secureDimse?.port, region, stop }
}

function addPages(face: HttpFace, settings: NodeSettings, region: Region, freeBytes: () => Promise<number>): void {
  face.pages('/desk', settings.pages.desk)
  face.pages('/viewer', settings.pages.viewer)
  face.redirect('/', '/desk/')
  face.check('link', () => ({ state: region.link?.status().state ?? 'not-joined' }), { critical: false })
  face.check('storage', async () => {
    if ((await freeBytes()) < settings.archive.minFreeBytes) throw new Error('out of storage space')
    return undefined
  }, { critical: false }) // prettier-ignore
}
