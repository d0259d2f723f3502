import { answerTimeStampRequest, type Certificate, type RevocationReason } from 'pki'
import type { AuditTrail, Database, Log, Transaction } from 'service-kit'
import {
  Problem,
  type AuditEvent,
  type CertificateRow,
  type EpochMs,
  type HospitalId,
  type PersonAnswer,
  type PersonRequest,
  type PersonRevocation,
} from 'specs'
import type { Authority } from '../authority/authority.ts'
import type { Membership } from '../hospital/membership.ts'
import { readHospital } from '../hospital/store.ts'
import { nameAuthorities, readCertificate, recordCertificate, revokeAll, revokeOne } from './register.ts'

export interface CertificatesParts {
  readonly db: Database
  readonly authority: Authority
  readonly membership: Pick<Membership, 'revokeCertificates' | 'revoke'>
  readonly audit: Pick<AuditTrail, 'within' | 'note'>
  readonly log: Log
  readonly now: () => EpochMs
}

/** The work of the certificate authority beyond membership: doctors, services, time stamps, and whatever is revoked by itself. */
export class Certificates {
  readonly #parts: CertificatesParts

  constructor(parts: CertificatesParts) {
    this.#parts = parts
  }

  /** Enters the hub's own certificates, which are made before there is a database and renewed beside it. */
  async recordOwn(): Promise<void> {
    const { db, authority, now } = this.#parts
    const own = [
      { certificate: authority.hub.certificate, kind: 'hub' },
      { certificate: authority.timeStamps.certificate, kind: 'time-stamp' },
      { certificate: authority.certificate, kind: 'authority' },
    ] as const
    await db.write(async (tx) => {
      await nameAuthorities(tx)
      for (const { certificate, kind } of own) {
        if (await isRecorded(tx, certificate.serial)) continue
        await tx.run('UPDATE certificate SET replaced_at = $2 WHERE kind = $1 AND replaced_at IS NULL', [kind, now()])
        await recordCertificate(tx, certificate, { kind }, now())
      }
    })
  }

  /**
   * Certifies a doctor of the hospital that asks. A former certificate of the same person is revoked as superseded: what it
   * signed before stays genuine.
   *
   * @throws {Problem} certificate/invalid, region/not-joined.
   */
  async certifyPerson(hospitalId: HospitalId, { csr, userId, name, title }: PersonRequest): Promise<PersonAnswer> {
    const { db, authority, membership, audit, log, now } = this.#parts
    const { config, certificate: member } = await readHospital(db, hospitalId)
    if (!member) throw new Problem('region/not-joined', { hospitalId })
    const { certificate, chain } = authority.certifyPerson(csr, { userId, hospitalId, name, title, organisation: config.name })
    const isNew = async (tx: Transaction) => {
      const replaced = await revokeAll(tx, { hospitalId, userId, kinds: ['person'], code: 'superseded', reason: 'superseded', now: now() })
      await recordCertificate(tx, certificate, { kind: 'person', hospitalId, userId }, now())
      const actor = { kind: 'hospital', id: hospitalId, hospitalId } as const
      await audit.within(tx, event('certificate.issue', certificate, { actor, facts: { kind: 'person', userId, name, title } }))
      return replaced > 0
    }
    await membership.revokeCertificates(isNew)
    log.info({ hospitalId, serial: certificate.serial }, 'a doctor was certified')
    return { certificateChain: chain }
  }

  /** A hospital ends the certificate of one of its own. @throws {Problem} request/not-found, access/forbidden for another hospital's. */
  async revokePerson(hospitalId: HospitalId, { serial, reason }: PersonRevocation): Promise<void> {
    const { db, now } = this.#parts
    const { kind, hospitalId: of } = await readCertificate(db, serial, now())
    if (kind !== 'person' || of !== hospitalId) throw new Problem('access/forbidden', { serial })
    await this.#revoke(serial, reason, 'by the hospital', { kind: 'hospital', id: hospitalId, hospitalId })
  }

  /** TimeStampReq → TimeStampResp, DER. @throws {Problem} certificate/invalid */
  timeStamp(request: Uint8Array): Uint8Array {
    const { authority, now } = this.#parts
    return answerTimeStampRequest(authority.timeStamps, request, now())
  }

  /** Of an interface of the hub or a hospital, by its request. @throws {Problem} certificate/invalid, region/unknown-hospital */
  async issueService(wish: { csr: string; name: string; hospitalId?: HospitalId | undefined }): Promise<{ row: CertificateRow; chain: string[] }> {
    const { db, authority, audit, now } = this.#parts
    const owner = wish.hospitalId === undefined ? undefined : await readHospital(db, wish.hospitalId)
    const organisation = owner?.config.name ?? authority.certificate.subject.o
    const { certificate, chain } = authority.certifyService(wish.csr, { name: wish.name, organisation })
    await db.write(async (tx) => {
      await recordCertificate(tx, certificate, { kind: 'service', hospitalId: wish.hospitalId }, now())
      await audit.within(tx, event('certificate.issue', certificate, { facts: { kind: 'service', name: wish.name } }))
    })
    return { row: await readCertificate(db, certificate.serial, now()), chain }
  }

  /** A service's certificate anew, for the same or another key. The former one counts until its end. @throws {Problem} request/not-found */
  async renewService(serial: string, csr: string): Promise<{ row: CertificateRow; chain: string[] }> {
    const { db, now } = this.#parts
    const former = await readCertificate(db, serial, now())
    // Keys of nodes and doctors are made where they are used; only those places can ask.
    if (former.kind !== 'service') throw new Problem('request/invalid', { what: 'serial', reason: `a ${former.kind} certificate is renewed by its holder` })
    if (former.revokedAt !== null) throw new Problem('certificate/revoked', { serial })
    const issued = await this.issueService({ csr, name: former.subject, ...(former.hospitalId !== null && { hospitalId: former.hospitalId }) })
    await db.run('UPDATE certificate SET replaced_at = $2 WHERE serial = $1 AND replaced_at IS NULL', [serial, now()])
    return issued
  }

  /**
   * By an administrator, with a reason. Revoking what a node speaks with puts the hospital out, credentials included.
   * @throws {Problem} request/not-found; request/invalid for the authority's own.
   */
  async revoke(serial: string, code: RevocationReason, reason: string): Promise<CertificateRow> {
    const { db, membership, now } = this.#parts
    const held = await readCertificate(db, serial, now())
    if (held.kind === 'authority' || held.kind === 'hub')
      throw new Problem('request/invalid', { what: 'serial', reason: 'the authority itself is revoked by the root, the hub by a new start' })
    const speaksForNode = held.current && held.hospitalId !== null && (held.kind === 'party' || held.kind === 'party-encryption')
    if (speaksForNode && held.hospitalId !== null) await membership.revoke(held.hospitalId, reason)
    await this.#revoke(serial, code, reason)
    return readCertificate(db, serial, now())
  }

  async #revoke(serial: string, code: RevocationReason, reason: string, actor?: AuditEvent['actor']): Promise<void> {
    const { membership, audit, now } = this.#parts
    await membership.revokeCertificates(async (tx) => {
      if (!(await revokeOne(tx, serial, code, reason, now()))) return false
      const object = { type: 'certificate', id: serial } as const
      await audit.within(tx, { action: 'certificate.revoke', outcome: 'success', object, reason, facts: { code }, ...(actor && { actor }) })
      return true
    })
  }
}

async function isRecorded(tx: Transaction, serial: string): Promise<boolean> {
  return (await tx.get('SELECT serial FROM certificate WHERE serial = $1', [serial])) !== undefined
}

const event = (action: AuditEvent['action'], { serial }: Certificate, said: Partial<AuditEvent>): AuditEvent => ({
  action,
  outcome: 'success',
  object: { type: 'certificate', id: serial },
  ...said,
})
