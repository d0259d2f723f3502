import { join } from 'node:path'
import { addAuditRoutes, addFaultRoutes, addPostureRoutes, createAccounts, createHttpFace, createHubLink, createMetrics, openDatabase, Outbound, Trail, type Log, HealthWatch, retire, kekSourceOf, addVaultRoutes, Resealing, sealedAccountColumns, Vault, SyslogFeeder, type Queries } from 'service-kit'
import { HospitalId, HUB, hubRoles, kinds, Problem, type LiveEvent } from 'specs'
import { openRegionAudit } from './audit/region-audit.ts'
import { regionAuditRoutes } from './audit/routes.ts'
import { openAuthority } from './authority/authority.ts'
import { AuthorityUpkeep } from './authority/upkeep.ts'
import { serveCertificates } from './certificate/calls.ts'
import { Certificates } from './certificate/certificates.ts'
import { certificateRoutes } from './certificate/routes.ts'
import type { HubSettings } from './config.ts'
import { consultRoutes } from './consult/routes.ts'
import { Recollecting } from './consult/recollecting.ts'
import { ConsultService } from './consult/service.ts'
import { grantVerifier } from './consult/verify-grant.ts'
import { KnownParties } from './hospital/known-parties.ts'
import { Membership } from './hospital/membership.ts'
import { Presence, presenceEvent } from './hospital/presence.ts'
import { RegistryCache } from './hospital/registry-cache.ts'
import { hospitalRoutes } from './hospital/routes.ts'
import { allHospitals } from './hospital/store.ts'
import { migrateHub } from './migrations.ts'
import { ensureNatsTls, NatsAdministration, NatsCertificate, natsNames, readCredentials, readNatsCa, signNatsTrust } from './nats/index.ts'
import { takeReport } from './refusal/report.ts'
import { messageRoutes } from './message/routes.ts'
import { parametersRoutes, serveParameters } from './parameters/routes.ts'
import { Parameters } from './parameters/service.ts'
import { sealedParameters } from './parameters/store.ts'
import { refusalRoutes } from './refusal/routes.ts'
import { regionRoutes } from './region-routes.ts'
import { statisticsRoutes } from './statistics/routes.ts'
import { every } from './rounds.ts'

export interface RunningHub {
  /** As it listens, also when the configuration said port 0. */
  readonly port: number
  /** Where the certificate authority listens: the same, unless `ca.http` names another. */
  readonly caPort: number
  /** Takes up at once what the root has answered, and certifies anew what runs out; the hub does so every minute. */
  readonly lookAfterCertificates: () => Promise<void>
  readonly stop: () => Promise<void>
}

const VERSION = '0.1.0'
const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

/**
 * Builds the hub and joins its parts. It serves before nats-server does and whenever that is away; messages wait.
 *
 * @throws An Error for the administrator when keys are missing (`init`), the database cannot be opened or the port is taken.
 */
export async function startHub(settings: HubSettings, log: Log): Promise<RunningHub> {
  const regionId = settings.region.id
  const region = { regionId, regionName: settings.region.name }
  const now = Date.now
  const metrics = createMetrics()
  const db = await openDatabase(settings.database)
  await migrateHub(db)
  const vault = await Vault.open({ db, kek: kekSourceOf(settings.vault) })
  const { nodeDays, personDays, serviceDays } = settings.certificates
  const days = { node: nodeDays, person: personDays, service: serviceDays }
  const authority = await openAuthority({ dir: settings.dir, ...region, safe: vault, days })
  const audit = await Trail.open({
    database: settings.audit.database,
    settings: settings.audit,
    party: HUB,
    keyFolder: join(settings.dir, 'keys'),
    safe: vault,
    callers: [db],
    identity: () => authority.hub,
    log,
    metrics,
    onState: (available) => announce({ type: 'audit', state: available ? 'ok' : 'failing' }),
  })
  const outbound = new Outbound({ config: settings.outbound, own: { host: settings.http.host, behindProxy: settings.http.plain === 'behind-proxy' || settings.http.trustProxy !== false } })
  const accounts = await createAccounts({ db, vault, party: 'hub', roles: hubRoles, log, audit, outbound, identity: settings.identity })
  for (const account of settings.accounts) await accounts.ensure(account)

  const face = createHttpFace({ name: 'hub', version: VERSION, log, metrics, accounts, audit, trustProxy: settings.http.trustProxy, limits: settings.http.limits })
  const announce = (event: LiveEvent) => face.events.publish(event)
  const parties = new KnownParties(authority, regionId)
  const presence = new Presence({ db, heartbeatMs: settings.heartbeatMs, announce, now, onPresence: (id, online) => audit.note(presenceEvent(id, online), { each: true }) })
  const natsNamesHere = natsNames({ names: settings.nats.names, host: settings.nats.listenHost })
  if (settings.nats.isTls) await ensureNatsTls(settings.nats.adminDir, natsNamesHere, { safe: vault })
  const natsCa = settings.nats.isTls ? await readNatsCa(settings.nats.adminDir) : undefined
  const natsAdministration = await NatsAdministration.open({ dir: settings.nats.adminDir, natsUrl: settings.nats.url, natsCa, safe: vault, log })
  const natsCertificate = settings.nats.isTls
    ? new NatsCertificate({ dir: settings.nats.adminDir, natsUrl: settings.nats.url, names: natsNamesHere, safe: vault, reload: () => natsAdministration.reloadServer(), log })
    : undefined
  const link = await createHubLink({
    db,
    log,
    metrics,
    regionId,
    natsUrl: settings.nats.url,
    natsTrust: { natsUrl: settings.nats.url, natsCa },
    natsCredentials: await readCredentials(settings.nats.adminDir, 'hub', vault),
    identity: authority.hub,
    trust: parties.trust,
    certificateOf: parties.certificateOf,
    hospitals: () => joinedHospitals(db),
    onSync: async (hospitalId, request) => {
      await presence.heartbeat(hospitalId, request)
      if (request.missing) await recollecting.ask(hospitalId)
    },
    onRefusal: ({ code }) => announce({ type: 'refusal', code }),
    timing: { heartbeatMs: settings.heartbeatMs },
  })
  const membership = new Membership({
    db,
    region: {
      ...region,
      /** Signed whenever it is told: the hub's key changes while it runs. */
      get natsTrust() {
        return signNatsTrust(authority.hub, regionId, { natsUrl: settings.nats.publicUrl, natsCa })
      },
    },
    authority,
    parties,
    outbox: link,
    transport: {
      issueNode: async (hospitalId) => (await natsAdministration.issueNode(regionId, hospitalId)).credentials,
      revokeNode: async (hospitalId) => {
        const { pushed } = await natsAdministration.revokeNode(hospitalId)
        if (!pushed) log.warn({ hospitalId }, 'revoked, but nats-server is away: its connection ends when nats-server is back')
      },
      ensureConsumer: (hospitalId) => link.ensureNodeConsumer(hospitalId).catch(natsUnavailable),
    },
    natsUrl: settings.nats.publicUrl,
    joinCodeValidMs: settings.joinCodeValidHours * HOUR_MS,
    announce,
    audit,
    log,
    now,
  })
  const certificates = new Certificates({ db, authority, membership, audit, log, now })
  await certificates.recordOwn()
  const authorityUpkeep = new AuthorityUpkeep({ db, authority, certificates, membership, parties, audit, log, now })
  serveCertificates(link, { membership, certificates })
  const consults = new ConsultService({
    regionId,
    registry: new RegistryCache(),
    outbox: link,
    verifyGrant: grantVerifier(parties, now),
    announce,
    now,
  })

  const recollecting = new Recollecting({ db, link: () => link, consults, audit, log, now })
  link.onMessage(kinds.consultCommand, (tx, { from, body }) => consults.handle(tx, HospitalId.parse(from), body))
  link.onMessage(kinds.problemReport, (tx, { from, body }) => takeReport(tx, HospitalId.parse(from), body, announce))

  const regionAudit = openRegionAudit({
    db, link, now, announce,
    trail: audit,
    identity: authority.hub,
    trust: parties.trust,
    joined: joinedHospitals,
  }) // prettier-ignore
  if (settings.audit.syslog) await outbound.check('syslog', settings.audit.syslog.host)
  const syslog = settings.audit.syslog && (await SyslogFeeder.start(audit, settings.audit.syslog))
  const verifications = addAuditRoutes(face, { trail: audit, rootPems: () => [authority.root.pem], syslog: async () => (await syslog?.status()) ?? null })
  addPostureRoutes(face, { accounts, trail: audit, verifications })
  addFaultRoutes(face, audit)
  regionAuditRoutes(face, { db, trail: audit, regionName: region.regionName })
  const health = new HealthWatch({ face, trail: audit })
  const upkeep = every(
    30_000,
    'looking after the audit trail',
    async () => {
      await regionAudit.handOut()
      await retire(audit)
    },
    log,
  )

  regionRoutes(face, {
    regionId,
    name: region.regionName,
    rootCertificate: authority.root.pem,
    natsUrl: settings.nats.publicUrl,
    version: VERSION,
  })
  // Bound to an inner address where there is one: then nobody reaches the authority from outside.
  const caFace = settings.ca.http
    ? createHttpFace({ name: 'ca', version: VERSION, log, metrics: createMetrics(), accounts, audit, trustProxy: settings.http.trustProxy })
    : face
  certificateRoutes(caFace, {
    db, certificates, authorityChain: () => [authority.certificate.pem, authority.root.pem], formerAuthorities: () => authority.formerCertificates.map(({ pem }) => pem),
    authority: () => ({ expires: authority.certificate.notAfter, keyId: authority.certificate.subjectKeyId }),
    nats: () => natsCertificate?.state ?? null,
    now,
  }) // prettier-ignore
  if (caFace !== face) caFace.pages('/console', settings.consoleDist)
  hospitalRoutes(face, { membership, list: () => allHospitals(db), heartbeatMs: settings.heartbeatMs, now })
  const parameters = new Parameters({ db, safe: vault, outbox: link, audit, now, joined: () => joinedHospitals(db) })
  serveParameters(link, parameters)
  parametersRoutes(face, parameters)
  consultRoutes(face, db)
  statisticsRoutes(face, { db, now })
  const resealing = new Resealing({ db, vault, log, columns: [...sealedAccountColumns, sealedParameters] })
  addVaultRoutes(face, { vault, resealing, audit })
  messageRoutes(face, { link, hospitals: () => allHospitals(db), heartbeatMs: settings.heartbeatMs, now })
  refusalRoutes(face, db)
  face.pages('/console', settings.consoleDist)
  face.redirect('/', '/console/')
  face.check('database', async () => void (await db.get('SELECT 1 AS one')))
  face.check('audit', () => audit.health(), { critical: false })
  face.check('link', () => linkHealth(link.status().state), { critical: false })

  await authorityUpkeep.look()
  await parties.refresh(db)
  link.start()
  await health.start()
  // Other hub processes on the same database admit and revoke, too; and somebody has to notice who has gone silent.
  const watch = every(
    settings.heartbeatMs,
    'looking after the registry',
    async () => {
      await parties.refresh(db)
      await presence.look()
    },
    log,
  )
  const renewal = every(MINUTE_MS, 'looking after certificates and revocation lists', () => authorityUpkeep.look(), log)
  const recollection = every(HOUR_MS, 'looking after consultations that wait for lost steps', () => recollecting.giveUp(), log)
  const natsUpkeep = natsCertificate && every(HOUR_MS, 'looking after the certificate of nats-server', () => natsCertificate.look(), log)

  async function stop(): Promise<void> {
    await face.drain(settings.drainMs)
    await Promise.all([watch.stop(), renewal.stop(), recollection.stop(), natsUpkeep?.stop()])
    await face.close()
    if (caFace !== face) await caFace.close()
    await link.stop()
    await natsAdministration.close()
    await Promise.all([upkeep.stop(), health.stop(), verifications.close(), syslog?.stop()])
    await audit.close()
    await resealing.stop()
    vault.close()
    await db.close()
  }
  try {
    const { port } = await face.listen({ ...settings.http, setting: 'http.port' })
    const caPort = settings.ca.http ? (await caFace.listen({ ...settings.ca.http, setting: 'ca.http.port' })).port : port
    return { port, caPort, lookAfterCertificates: () => authorityUpkeep.look(), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function joinedHospitals(db: Queries): Promise<HospitalId[]> {
  const hospitals = await allHospitals(db)
  return hospitals.filter(({ certificate }) => certificate !== undefined).map(({ config }) => config.id)
}

function natsUnavailable(cause: unknown): never {
  throw new Problem('service/unavailable', { what: 'nats' }, { cause })
}

function linkHealth(state: string): Record<string, unknown> {
  if (state !== 'connected') throw new Problem('service/unavailable', { what: 'nats', state })
  return { state }
}
