import { randomUUID } from 'node:crypto'
import type { AuditTrail, Database, Log, Transaction, User } from 'service-kit'
import {
  ConsentWithdrawn,
  CURRENT_CONSENT_TEXT,
  HospitalId,
  isProblem,
  maskName,
  maskNumber,
  parseWith,
  PatientIdentity,
  Problem,
  services,
  type Authorisation,
  type ConsentDraft,
  type ConsentRow,
  type ConsentStatement,
  type EpochMs,
  type IdentityAssertion,
  type RecordedConsent,
} from 'specs'
import type { z } from 'zod'
import { matchPatients } from '../cross-hospital/match.ts'
import type { Sealing } from '../patient/contact.ts'
import { actorElsewhere } from '../audit/actor-elsewhere.ts'
import type { Line } from '../region/line.ts'
import { authorisationsOfConsent, consentKey, keepAuthorisation } from './authorisation-store.ts'
import { inGroups, newCode } from './consent-code.ts'
import {
  findConsent,
  findConsentByCode,
  keepConsent,
  listConsents,
  markConsentWithdrawn,
  markRedeemed,
  noteShown,
  oweConsentNotices,
  owedConsentNotices,
  receivingConsents,
  settleConsentNotice,
  type KeptConsent,
} from './consent-store.ts'
import type { Withdrawals } from './withdrawal.ts'

const DAY_MS = 86_400_000
const ANSWER_MS = 3_000
const PAUSE_MS = 15_000

export interface ConsentsParts {
  readonly db: Database
  readonly log: Log
  readonly vault: Sealing
  readonly line: Line
  readonly audit: AuditTrail
  readonly withdrawals: Withdrawals
  readonly hospitalId: HospitalId
  readonly settings: { readonly authorisationDays: number; readonly consentsFrom: 'own' | 'region'; readonly codeDays: number }
  readonly now: () => EpochMs
}

/** 患者授权: recorded at the hospital that holds the exams or at the one that treats; always with the wording, the form and who recorded it. */
export class Consents {
  readonly #parts: ConsentsParts
  readonly #timer: NodeJS.Timeout
  #telling: Promise<void> = Promise.resolve()

  constructor(parts: ConsentsParts) {
    this.#parts = parts
    this.#timer = setInterval(() => this.tell(), PAUSE_MS)
    this.#timer.unref()
    parts.line.serve(services.consentWithdrawn, ({ from, body }) => this.#takeWithdrawal(parseWith(HospitalId, from, 'sender'), body))
  }

  /** @throws {Problem} consent/patient-unknown, access/authorisation-too-long, request/invalid */
  async record(user: User, draft: z.output<typeof ConsentDraft>): Promise<RecordedConsent> {
    const { db, vault, hospitalId, now, settings } = this.#parts
    const at = now()
    const { direction, patient, form, purposes, scope, expires, textVersion } = draft
    if (textVersion !== CURRENT_CONSENT_TEXT) throw new Problem('request/invalid', { what: 'textVersion' })
    if (expires <= at || expires > at + settings.authorisationDays * DAY_MS) throw new Problem('access/authorisation-too-long', { days: settings.authorisationDays })
    const isByCode = form === 'code'
    if (direction === 'receive' ? isByCode || draft.grantees !== undefined : isByCode === (draft.grantees !== undefined)) throw new Problem('request/invalid', { what: 'grantees' })
    const patientIds = direction === 'give' ? await matchPatients(db, vault, patient) : []
    const [patientId = ''] = patientIds
    if (direction === 'give' && patientId === '') throw new Problem('consent/patient-unknown')
    const consentId = randomUUID()
    const code = isByCode ? newCode(hospitalId) : null
    const codeExpires = isByCode ? Math.min(at + settings.codeDays * DAY_MS, expires) : null
    const consent: KeptConsent = {
      consentId,
      direction,
      patient: vault.seal(JSON.stringify(patient), `consent/${consentId}`),
      ...this.#indicesOf(patient),
      patientId,
      recordedHospital: hospitalId,
      recordedAt: at,
      recordedBy: user.id,
      recordedName: user.name,
      textVersion,
      form,
      grantees: direction === 'receive' ? [hospitalId] : (draft.grantees ?? []),
      purposes,
      scope,
      expires,
      authorisationId: direction === 'give' && !isByCode ? randomUUID() : null,
      codeIndex: code === null ? null : this.#codeIndex(code),
      codeExpires,
      redeemedBy: null,
      withdrawnAt: null,
    }
    await db.write(async (tx) => {
      await keepConsent(tx, consent)
      if (consent.authorisationId !== null) await this.#authorise(tx, consent, patientIds, consent.grantees, consent.authorisationId)
      await this.#tellTrail(tx, consent, 'consent.record', { form, direction, textVersion, expires })
    })
    return { ...this.#rowOf(consent), code: code === null ? null : inGroups(code), codeExpires }
  }

  async #authorise(tx: Transaction, consent: KeptConsent, patientIds: readonly string[], grantees: KeptConsent['grantees'], firstId: string): Promise<void> {
    for (const [index, patientId] of patientIds.entries()) {
      const authorisation = authorisationOf(consent, { authorisationId: index === 0 ? firstId : randomUUID(), patientId, grantees, now: this.#parts.now() })
      await keepAuthorisation(tx, authorisation, consentKey(consent.recordedHospital, consent.consentId, patientId))
    }
  }

  /** @throws {Problem} consent/unknown, consent/withdrawn */
  async withdraw(user: Pick<User, 'id' | 'name'>, consentId: string, reason: string): Promise<ConsentRow> {
    const { db, now, withdrawals, hospitalId } = this.#parts
    const consent = await findConsent(db, consentId)
    if (!consent) throw new Problem('consent/unknown', { consentId })
    await db.write(async (tx) => {
      if (!(await markConsentWithdrawn(tx, consentId, user.name, reason, now()))) throw new Problem('consent/withdrawn', { consentId })
      for (const { authorisationId } of await authorisationsOfConsent(tx, hospitalId, consentId)) await withdrawals.endAuthorisation(tx, authorisationId, user, reason)
      await oweConsentNotices(tx, consentId, now())
      await this.#tellTrail(tx, consent, 'consent.withdraw', { direction: consent.direction }, reason)
      tx.afterCommit(() => this.tell())
    })
    return this.#rowOf({ ...consent, withdrawnAt: now() })
  }

  async list(limit: number): Promise<ConsentRow[]> {
    return (await listConsents(this.#parts.db, limit)).map((consent) => this.#rowOf(consent))
  }

  /**
   * A patient's code, entered at another hospital: from now on that hospital has the patient's consent.
   * @throws {Problem} consent/code-wrong, also when it was given for somebody else: the code alone tells nothing.
   */
  async redeem(code: string, patientIds: readonly string[], asker: HospitalId, { person, purpose }: IdentityAssertion): Promise<void> {
    const { db, audit, now, hospitalId } = this.#parts
    const consent = await findConsentByCode(db, this.#codeIndex(code))
    const told = { action: 'consent.code', actor: actorElsewhere(asker, person), purpose, object: { type: 'consent', id: consent?.consentId ?? 'unknown', owner: hospitalId } } as const
    if (consent?.redeemedBy === asker && consent.withdrawnAt === null) return
    const isGood = consent && consent.redeemedBy === null && consent.withdrawnAt === null && now() < (consent.codeExpires ?? 0) && patientIds.includes(consent.patientId)
    const isUsed =
      isGood &&
      (await db.write(async (tx) => {
        const authorisationId = randomUUID()
        if (!(await markRedeemed(tx, consent.consentId, asker, authorisationId, now()))) return false
        await this.#authorise(tx, consent, patientIds, [asker], authorisationId)
        await audit.within(tx, { ...told, outcome: 'success' })
        return true
      }))
    if (isUsed) return
    await audit.record({ ...told, outcome: 'refused', code: 'consent/code-wrong' })
    throw new Problem('consent/code-wrong')
  }

  /** Consents that the treating hospital recorded, where this hospital relies on its region's word for them. */
  async takeStatements(statements: readonly ConsentStatement[], patientIds: readonly string[], asker: HospitalId): Promise<void> {
    const { db, audit, hospitalId, settings, now } = this.#parts
    if (settings.consentsFrom !== 'region') return
    for (const { consentId, recordedBy, recordedAt, purposes, scope, expires: said, form, textVersion } of statements) {
      const expires = Math.min(said, now() + settings.authorisationDays * DAY_MS)
      if (expires <= now()) continue
      for (const patientId of patientIds) {
        const consent = { consentId, recordedAt, recordedName: recordedBy.name, recordedBy: recordedBy.id, purposes, scope, expires }
        const authorisation = authorisationOf(consent, { authorisationId: randomUUID(), patientId, grantees: [asker], now: now() })
        await db.write(async (tx) => {
          if (!(await keepAuthorisation(tx, authorisation, consentKey(asker, consentId, patientId)))) return
          const actor = { kind: 'user', id: recordedBy.id, name: recordedBy.name, hospitalId: asker } as const
          const object = { type: 'consent', id: consentId, owner: hospitalId, patientKey: audit.patientKey(hospitalId, patientId) } as const
          await audit.within(tx, { action: 'consent.record', outcome: 'success', actor, object, facts: { form, textVersion, expires, recordedAt: asker } })
        })
      }
    }
  }

  /** What a search for this patient shows to the hospitals that are asked. */
  async statementsFor(patient: PatientIdentity, hospitals: readonly HospitalId[]): Promise<ConsentStatement[]> {
    const { db, now } = this.#parts
    const found = await receivingConsents(db, this.#indicesOf(patient), now())
    if (found.length > 0) await db.write(async (tx) => {
      for (const { consentId } of found) for (const hospital of hospitals) await noteShown(tx, consentId, hospital)
    }) // prettier-ignore
    return found.map(({ consentId, recordedAt, recordedBy, recordedName, textVersion, form, purposes, scope, expires }) => ({
      consentId, recordedAt, recordedBy: { id: recordedBy, name: recordedName }, textVersion, form, purposes: [...purposes], scope, expires,
    })) // prettier-ignore
  }

  async #takeWithdrawal(from: HospitalId, body: unknown): Promise<object> {
    const { db, withdrawals } = this.#parts
    const { consentId } = parseWith(ConsentWithdrawn, body, services.consentWithdrawn)
    await db.write(async (tx) => {
      for (const { authorisationId } of await authorisationsOfConsent(tx, from, consentId)) await withdrawals.endAuthorisation(tx, authorisationId, { name: from }, '患者在登记医院撤回授权')
    })
    return {}
  }

  /** Tells hospitals that were shown a consent of its withdrawal, until they confirm. */
  tell(): void {
    this.#telling = this.#telling
      .then(() => this.#tell())
      .catch((error: unknown) => this.#parts.log.error({ err: error }, 'withdrawn consents not told'))
  }

  async #tell(): Promise<void> {
    const { db, line, now } = this.#parts
    const owed = await owedConsentNotices(db, now())
    await Promise.all(
      owed.map(async (notice) => {
        const { consentId, withdrawnAt, hospital } = notice
        try {
          await line.request(hospital, services.consentWithdrawn, { consentId, withdrawnAt }, { timeoutMs: ANSWER_MS })
          await settleConsentNotice(db, notice, { confirmedAt: now() })
        } catch (error) {
          if (!isProblem(error)) throw error
          await settleConsentNotice(db, notice, { nextAt: now() + Math.min(1_000 * 2 ** Math.min(notice.attempts, 10), 60_000) })
        }
      }),
    )
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#telling
  }

  #indicesOf({ name, idCard, birthDate }: PatientIdentity): Pick<KeptConsent, 'idCardIndex' | 'personIndex'> {
    const { vault } = this.#parts
    return {
      idCardIndex: idCard === undefined ? '' : vault.blindIndex(`${name}\n${idCard}`, 'consent-id-card'),
      personIndex: birthDate === undefined ? '' : vault.blindIndex(`${name}\n${birthDate}`, 'consent-person'),
    }
  }

  #codeIndex(code: string): string {
    return this.#parts.vault.blindIndex(code, 'consent-code')
  }

  #rowOf(consent: KeptConsent): ConsentRow {
    const { vault, now } = this.#parts
    const patient = parseWith(PatientIdentity, JSON.parse(vault.open(consent.patient, `consent/${consent.consentId}`)), 'patient')
    const { consentId, direction, authorisationId, patientId, recordedHospital, recordedAt, recordedName, textVersion, form, grantees, purposes, scope, expires, withdrawnAt } = consent
    const isWaiting = form === 'code' && consent.redeemedBy === null
    const isOver = now() >= expires || (isWaiting && now() >= (consent.codeExpires ?? 0))
    return {
      consentId, direction, authorisationId,
      patientName: maskName(patient.name, 'L1'),
      patientId: maskNumber(patientId, 'L1'),
      recordedAtHospital: recordedHospital,
      recordedAt,
      recordedBy: recordedName,
      textVersion, form, grantees,
      purposes: [...purposes],
      scope, expires, withdrawnAt,
      state: withdrawnAt !== null ? 'withdrawn' : isOver ? 'expired' : isWaiting ? 'waiting-for-code' : 'valid',
    } // prettier-ignore
  }

  #tellTrail(tx: Transaction, { consentId, patientId }: KeptConsent, action: 'consent.record' | 'consent.withdraw', facts: Record<string, unknown>, reason?: string): Promise<void> {
    const { audit, hospitalId } = this.#parts
    const object = { type: 'consent', id: consentId, owner: hospitalId, ...(patientId !== '' && { patientKey: audit.patientKey(hospitalId, patientId) }) } as const
    return audit.within(tx, { action, outcome: 'success', object, facts, ...(reason !== undefined && { reason }) })
  }
}

function authorisationOf(
  consent: Pick<KeptConsent, 'consentId' | 'recordedAt' | 'recordedBy' | 'recordedName' | 'purposes' | 'scope' | 'expires'>,
  { authorisationId, patientId, grantees, now }: { authorisationId: string; patientId: string; grantees: Authorisation['grantees']; now: EpochMs },
): Authorisation {
  return {
    authorisationId,
    kind: 'consent',
    grantees,
    purposes: [...consent.purposes],
    scope: { ...consent.scope, patientId, studyInstanceUids: [] },
    validFrom: Math.min(consent.recordedAt, now),
    expires: consent.expires,
    reason: '患者授权',
    issuedAt: now,
    issuedBy: { id: consent.recordedBy, name: consent.recordedName },
    withdrawn: null,
  }
}
