import type { AuditTrail, Database, Log } from 'service-kit'
import type { EpochMs } from 'specs'
import type { Certificates } from '../certificate/certificates.ts'
import type { KnownParties } from '../hospital/known-parties.ts'
import type { Membership } from '../hospital/membership.ts'
import type { Authority, Renewed } from './authority.ts'
import { isRevocationListDue } from './revocation-list.ts'

export interface UpkeepParts {
  readonly db: Database
  readonly authority: Authority
  readonly certificates: Pick<Certificates, 'recordOwn'>
  readonly membership: Pick<Membership, 'renewRevocationLists'>
  readonly parties: Pick<KnownParties, 'learnAuthorities'>
  readonly audit: Pick<AuditTrail, 'note'>
  readonly log: Log
  readonly now: () => EpochMs
}

/**
 * What keeps the region's certificates alive while the hub runs: takes up what the root has answered, certifies the hub anew before it
 * runs out, issues revocation lists, and tells every member in one directory.
 */
export class AuthorityUpkeep {
  readonly #parts: UpkeepParts
  /** What is new and not yet told, because telling failed. */
  readonly #untold = new Set<Renewed>()
  /** One look after the other: each writes the same files. */
  #turn: Promise<void> = Promise.resolve()

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  /** One look; repeated by the hub every minute. */
  look(): Promise<void> {
    const looked = this.#turn.then(() => this.#look())
    this.#turn = looked.catch(() => undefined) // `looked` tells the caller
    return looked
  }

  async #look(): Promise<void> {
    const { db, authority, certificates, membership, parties, now } = this.#parts
    for (const renewed of await authority.refresh()) this.#untold.add(renewed)
    if (this.#untold.size > 0) {
      parties.learnAuthorities()
      await certificates.recordOwn()
    }
    if (this.#untold.size > 0 || (await isRevocationListDue(db, authority, now()))) await membership.renewRevocationLists()
    for (const renewed of this.#untold) this.#note(renewed)
    this.#untold.clear()
  }

  #note(renewed: Renewed): void {
    const { authority, audit, log } = this.#parts
    const certificate = { authority: authority.certificate, hub: authority.hub.certificate, 'time-stamp': authority.timeStamps.certificate, 'root-crl': undefined }[renewed]
    const serial = certificate?.serial ?? authority.root.serial
    log.info({ renewed, serial }, 'the authority has something new, every member is told')
    audit.note({ action: 'certificate.renew', outcome: 'success', object: { type: 'certificate', id: serial }, facts: { kind: renewed } })
  }
}
