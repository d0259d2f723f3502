import { parseCertificate, TrustStore, type Certificate } from 'pki'
import type { Queries } from 'service-kit'
import { HUB, type HospitalId, type PartyId, type RegionId } from 'specs'
import type { Authority } from '../authority/authority.ts'
import { currentCrl, directoryVersion, formerCrls } from '../directory/directory.ts'
import { allHospitals } from './store.ts'

/**
 * For whom the hub seals and whom it believes, in memory because every envelope asks. The database is the truth;
 * `refresh` brings in what other processes changed.
 */
export class KnownParties {
  readonly trust: TrustStore
  readonly #authority: Authority
  #certificates = new Map<PartyId, Certificate>()
  #version = -1
  #crls: readonly string[] = []
  /** Counts what this process changed itself, so that a slower reading of the database does not undo it. */
  #changes = 0

  constructor(authority: Authority, regionId: RegionId) {
    this.trust = new TrustStore({ rootPem: authority.root.pem, regionId })
    this.#authority = authority
    this.learnAuthorities()
  }

  /** At the start and after a change at the authority: the trust store believes a revocation list once it knows who signed it. */
  learnAuthorities(): void {
    const { certificate, formerCertificates, rootCrl } = this.#authority
    for (const { pem } of [...formerCertificates, certificate]) this.trust.learnAuthority(pem)
    if (rootCrl !== undefined) this.trust.setCrl(rootCrl)
  }

  /** undefined for whoever has not joined or was revoked: messages to it wait. */
  certificateOf = (party: PartyId): Certificate | undefined => (party === HUB ? this.#authority.hub.certificate : this.#certificates.get(party))

  set(hospitalId: HospitalId, certificatePem: string | undefined): void {
    this.#changes += 1
    if (certificatePem === undefined) this.#certificates.delete(hospitalId)
    else this.#certificates.set(hospitalId, parseCertificate(certificatePem))
  }

  setCrls(crlPems: readonly string[]): void {
    const news = crlPems.filter((pem) => !this.#crls.includes(pem))
    if (news.length === 0) return
    this.#changes += 1
    for (const pem of news) this.trust.setCrl(pem)
    this.#crls = crlPems
  }

  /** @returns Whether anything had changed. */
  async refresh(queries: Queries): Promise<boolean> {
    const changes = this.#changes
    const version = await directoryVersion(queries)
    if (version === this.#version) return false
    const hospitals = await allHospitals(queries)
    const crls = [await currentCrl(queries), ...(await formerCrls(queries))]
    if (changes !== this.#changes) return this.refresh(queries)
    this.setCrls(crls)
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
