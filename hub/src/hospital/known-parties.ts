import { parseCertificate, TrustStore, type Certificate, type Identity } from 'pki'
import type { Queries } from 'service-kit'
import { HUB, type HospitalId, type PartyId, type RegionId } from 'specs'
import type { Authority } from '../authority/authority.ts'
import { currentCrl, directoryVersion } from '../directory/directory.ts'
import { allHospitals } from './store.ts'

/**
 * For whom the hub seals and whom it believes, in memory because every envelope asks. The database is the truth;
 * `refresh` brings in what other processes changed.
 */
export class KnownParties {
  readonly trust: TrustStore
  readonly #hub: Identity
  #certificates = new Map<PartyId, Certificate>()
  #version = -1
  #crl = ''
  /** Counts what this process changed itself, so that a slower reading of the database does not undo it. */
  #changes = 0

  constructor(authority: Authority, regionId: RegionId) {
    this.trust = new TrustStore({ rootPem: authority.root.pem, regionId })
    this.#hub = authority.hub
    // The trust store believes a revocation list once it has seen the chain of the authority that signed it.
    this.trust.verifyChain(authority.hub.certificateChain, Math.max(Date.now(), this.#hub.certificate.notBefore))
    if (authority.rootCrl !== undefined) this.trust.setCrl(authority.rootCrl)
  }

  /** undefined for whoever has not joined or was revoked: messages to it wait. */
  certificateOf = (party: PartyId): Certificate | undefined => (party === HUB ? this.#hub.certificate : this.#certificates.get(party))

  set(hospitalId: HospitalId, certificatePem: string | undefined): void {
    this.#changes += 1
    if (certificatePem === undefined) this.#certificates.delete(hospitalId)
    else this.#certificates.set(hospitalId, parseCertificate(certificatePem))
  }

  setCrl(crlPem: string): void {
    if (crlPem === this.#crl) return
    this.#changes += 1
    this.trust.setCrl(crlPem)
    this.#crl = crlPem
  }

  /** @returns Whether anything had changed. */
  async refresh(queries: Queries): Promise<boolean> {
    const changes = this.#changes
    const version = await directoryVersion(queries)
    if (version === this.#version) return false
    const hospitals = await allHospitals(queries)
    const crl = await currentCrl(queries)
    if (changes !== this.#changes) return this.refresh(queries)
    this.setCrl(crl)
    this.#certificates = new Map(
      hospitals.flatMap(({ config, certificate }) => (certificate ? [[config.id, this.#parsed(config.id, certificate.encryptionPem ?? certificate.pem)] as const] : [])),
    )
    this.#version = version
    return true
  }

  #parsed(party: PartyId, pem: string): Certificate {
    const held = this.#certificates.get(party)
    return held?.pem === pem ? held : parseCertificate(pem)
  }
}
