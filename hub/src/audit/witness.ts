import { signDocument, verifyDocument, type Identity, type TrustStore } from 'pki'
import type { Queries, Trail, Transaction } from 'service-kit'
import { auditKinds, parseWith, Problem, SignedCheckpoint, witnessStatement, type EpochMs, type HospitalId, type WitnessedCheckpoint } from 'specs'
import type { Outbox } from '../directory/directory.ts'
import { recordRefusal } from '../refusal/store.ts'
import { checkpointAt, keepCheckpoint, newestCheckpoint } from './store.ts'

export interface WitnessParts {
  readonly trail: Trail
  readonly identity: Identity
  readonly trust: TrustStore
  readonly outbox: Outbox
  /** Hospitals that have joined; one of them keeps a copy. */
  readonly joined: (queries: Queries) => Promise<readonly HospitalId[]>
  readonly now: () => EpochMs
}

/**
 * Keeps the checkpoints of every trail, says so under its own signature, and hands each to one hospital besides. A trail that is rewritten afterwards,
 * by whoever holds its database and its key, then contradicts two others.
 */
export class Witness {
  readonly #parts: WitnessParts

  constructor(parts: WitnessParts) {
    this.#parts = parts
  }

  /** A node tells where its chain stands. @throws {Problem} request/invalid, certificate/…, envelope/bad-signature */
  async take(tx: Transaction, from: HospitalId, body: unknown): Promise<void> {
    const { trust, outbox, now } = this.#parts
    const signed = parseWith(SignedCheckpoint, body, auditKinds.checkpoint)
    const { checkpoint } = signed
    if (checkpoint.party !== from) throw new Problem('access/forbidden', { party: checkpoint.party })
    // What was signed before the node had a certificate is vouched for by the envelope that brings it, and by nothing before.
    if (signed.signed.certificateChain.length > 0) {
      const signer = verifyDocument(trust, checkpoint, signed.signed, checkpoint.at, { historical: true })
      if (signer.party !== from) throw new Problem('envelope/wrong-sender', { party: from })
    }
    await this.#watch(tx, signed)
    const witnessed = this.#sign(signed, now())
    const handedTo = await this.#keeperFor(tx, checkpoint)
    await keepCheckpoint(tx, witnessed, handedTo)
    await outbox.post(tx, from, auditKinds.countersigned, witnessed)
    if (handedTo) await outbox.post(tx, handedTo, auditKinds.witness, witnessed)
  }

  /** Our own chain has nobody above it: hospitals are its witnesses. */
  async handOut(tx: Transaction, own: SignedCheckpoint): Promise<boolean> {
    const keeper = await this.#keeperFor(tx, own.checkpoint)
    if (keeper === undefined) return false
    const witnessed = this.#sign(own, this.#parts.now())
    await keepCheckpoint(tx, witnessed, keeper)
    await this.#parts.outbox.post(tx, keeper, auditKinds.witness, witnessed)
    return true
  }

  #sign(signed: SignedCheckpoint, receivedAt: EpochMs): WitnessedCheckpoint {
    const statement = witnessStatement({ ...signed, receivedAt })
    return { ...signed, receivedAt, countersigned: signDocument(this.#parts.identity, statement) }
  }

  /** The same place with another hash, a chain that became shorter, or a new one: kept all the same, and an alarm. */
  async #watch(tx: Transaction, { checkpoint }: SignedCheckpoint): Promise<void> {
    const { party, trailId, seq, hash } = checkpoint
    const same = await checkpointAt(tx, checkpoint)
    const newest = await newestCheckpoint(tx, party)
    const contradicts = same !== undefined && same.hash !== hash
    const replaced = newest !== undefined && newest.trailId !== trailId
    if (!contradicts && !replaced) return
    const facts = { party, trailId, seq, ...(replaced && newest && { before: newest.trailId, beforeSeq: newest.seq }) }
    await recordRefusal(tx, party, { code: 'audit/conflict', facts }, this.#parts.now())
    await this.#parts.trail.within(tx, {
      action: 'audit.alarm', outcome: 'failed', code: 'audit/conflict', facts,
      actor: { kind: 'hospital', id: party, hospitalId: party }, object: { type: 'audit', id: party },
    }) // prettier-ignore
  }

  /** Another hospital in turn, so that no two need agree to hide something. */
  async #keeperFor(queries: Queries, { party, seq, hash }: SignedCheckpoint['checkpoint']): Promise<HospitalId | undefined> {
    const others = (await this.#parts.joined(queries)).filter((id) => id !== party)
    return others[(parseInt(hash.slice(0, 8), 16) + seq) % Math.max(1, others.length)]
  }
}
