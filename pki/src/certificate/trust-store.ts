import { type EpochMs, Problem, type RegionId } from 'specs'
import { BoundedMap } from '../cache/bounded-map.ts'
import { type Certificate, parseCertificate } from './certificate.ts'
import type { KeyUsage } from './extensions.ts'
import { parseCrl, type RevocationList } from './revocation-list.ts'
import { isSignedBy } from './signed.ts'

/** Leaf, region CA, and the root if somebody sends it along. */
const CHAIN_MAX = 4
const CACHED_CHAINS = 1_000
/** Lists of authorities not seen yet; a region changes its authority's key once in years. */
const WAITING_LISTS = 16

const untrusted = (reason: string, certificate?: Certificate): Problem =>
  new Problem('certificate/untrusted', { reason, ...(certificate && { subject: certificate.subject.cn, serial: certificate.serial }) })

/** Options of a judgement about the past. */
export interface ChainOptions {
  /** A certificate revoked after `at` counts as good. Only for an `at` the caller recorded itself, never for one a sender states. */
  readonly historical?: boolean
  /**
   * A certificate that was merely replaced (`superseded` on the list) counts as good: nobody suspects its key. For content that
   * waits inside messages whose senders are proven anew, never for the messages themselves.
   */
  readonly acceptSuperseded?: boolean
  /** What the leaf must be good for; signing, unless told. */
  readonly usage?: KeyUsage
}

/**
 * Who is believed: everybody whose chain ends at one pinned root, belongs to our region, is within its validity and is
 * not revoked. Signatures and constraints are checked once per chain and remembered; validity and revocation are
 * checked again on every call, so that a new revocation list works at once.
 */
export class TrustStore {
  readonly root: Certificate
  readonly #regionId: RegionId | undefined
  readonly #chains = new BoundedMap<string, readonly Certificate[]>(CACHED_CHAINS)
  readonly #authorities = new Map<string, Certificate>()
  /** Newest list of each authority, by its key. */
  readonly #lists = new Map<string, RevocationList>()
  /** Lists that arrived before their authority was known, by its key: believed by nobody until their signature can be checked. */
  readonly #waiting = new BoundedMap<string, RevocationList>(WAITING_LISTS)

  /** @throws {Problem} certificate/invalid or certificate/untrusted when root or list are not what they should be. */
  constructor(trust: { rootPem: string; crlPem?: string; regionId?: RegionId }) {
    this.root = parseCertificate(trust.rootPem)
    this.#regionId = trust.regionId
    if (!this.root.isCa || !isSignedBy(this.root.signed, this.root.publicKey)) throw untrusted('not a self-signed root', this.root)
    this.#authorities.set(this.root.subjectKeyId, this.root)
    if (trust.crlPem !== undefined && trust.crlPem !== '') this.setCrl(trust.crlPem)
  }

  /**
   * Takes a newer revocation list. An older one is refused, otherwise a replay would bring a revoked party back.
   * Before the first chain of its authority has been seen the list waits, and that chain must then confirm it.
   *
   * @throws {Problem} certificate/invalid (malformed, older), certificate/untrusted (not signed by the authority).
   */
  setCrl(crlPem: string): void {
    const list = parseCrl(crlPem)
    const authority = this.#authorities.get(list.authorityKeyId)
    if (authority) this.#accept(list, authority)
    else this.#waiting.set(list.authorityKeyId, list)
  }

  /**
   * Gets to know an authority of the region before any chain of it has been seen: the directory names the one that issues now and,
   * after a change of its key, those whose certificates still count.
   *
   * @throws {Problem} certificate/invalid, certificate/untrusted when the root did not certify it, or for another region.
   */
  learnAuthority(pem: string): void {
    const authority = parseCertificate(pem)
    if (this.#authorities.get(authority.subjectKeyId)?.fingerprintSm3 === authority.fingerprintSm3) return
    this.#verifyLink(authority, this.root, 1)
    if (!authority.isCa) throw untrusted('issuer is not a certificate authority', authority)
    if (this.#regionId !== undefined && authority.subject.ou !== this.#regionId) throw untrusted('other region', authority)
    this.#remember(authority)
  }

  /** As verifyChain, of a leaf that came alone: its authority is one we know. */
  verifyLeaf(pem: string, at: EpochMs, options: ChainOptions = {}): Certificate {
    const leaf = parseCertificate(pem)
    const authority = this.#authorities.get(leaf.authorityKeyId)
    if (!authority || authority === this.root) throw untrusted('unknown authority', leaf)
    return this.verifyChain([pem, authority.pem], at, options)
  }

  /**
   * The list that revocation goes by, for status pages. One past its `nextUpdate` is still applied and parties not on it
   * are still believed: a hospital that was offline for weeks must be able to come back, and the hub hands it the newest
   * list first thing. `confirmed` is false until a chain of its authority has been seen.
   */
  crlStatus(now: EpochMs): { number: number; nextUpdate: EpochMs; overdue: boolean; confirmed: boolean } | undefined {
    const isRoots = (list: RevocationList) => Number(list.authorityKeyId === this.root.subjectKeyId)
    const newestFirst = (lists: readonly RevocationList[]) => [...lists].sort((a, b) => isRoots(a) - isRoots(b) || b.number - a.number)
    const [believed] = newestFirst([...this.#lists.values()])
    const list = believed ?? newestFirst(this.#waiting.values())[0]
    return list && { number: list.number, nextUpdate: list.nextUpdate, overdue: list.nextUpdate < now, confirmed: list === believed }
  }

  /**
   * @param chainPem leaf first; the root may be left out. @param at epoch ms.
   * @returns the leaf, whose `party` is the sender.
   * @throws {Problem} certificate/invalid, untrusted, revoked, expired.
   */
  verifyChain(chainPem: readonly string[], at: EpochMs, options: ChainOptions = {}): Certificate {
    const key = chainPem.join('')
    let chain = this.#chains.get(key)
    if (!chain) {
      chain = this.#verifyLinks(chainPem)
      this.#chains.set(key, chain)
    }
    const leaf = chain[0]!
    if (!leaf.keyUsage.has(options.usage ?? 'digitalSignature')) throw untrusted('key usage', leaf)
    for (const certificate of chain) this.#checkNow(certificate, at, options)
    return leaf
  }

  /** Everything that cannot change: signatures, constraints, region. @returns the chain, leaf first, root last. */
  #verifyLinks(chainPem: readonly string[]): readonly Certificate[] {
    if (chainPem.length === 0 || chainPem.length > CHAIN_MAX) throw untrusted('chain length')
    const sent = chainPem.map(parseCertificate)
    const chain = sent.at(-1)!.fingerprintSm3 === this.root.fingerprintSm3 ? sent : [...sent, this.root]
    const leaf = chain[0]!
    if (chain.length < 2 || leaf.isCa) throw untrusted('a certificate authority cannot speak for a party', leaf)
    chain.slice(1).forEach((issuer, below) => this.#verifyLink(chain[below]!, issuer, below))
    this.#checkRegion(leaf, chain[1]!)
    for (const authority of chain.slice(1)) this.#remember(authority)
    return chain
  }

  /** RFC 5280 6.1: names chain, the issuer may issue, the path is not too long, the signature is the issuer's. */
  #verifyLink(subject: Certificate, issuer: Certificate, authoritiesBelow: number): void {
    if (subject.issuer.derHex !== issuer.subject.derHex) throw untrusted('issuer name', subject)
    // Also what revocation goes by, so it may not be missing.
    if (subject.authorityKeyId === '' || subject.authorityKeyId !== issuer.subjectKeyId) throw untrusted('issuer key', subject)
    if (!issuer.isCa || !issuer.keyUsage.has('keyCertSign')) throw untrusted('issuer is not a certificate authority', issuer)
    if (issuer.pathLen !== undefined && authoritiesBelow > issuer.pathLen) throw untrusted('path length', issuer)
    if (!isSignedBy(subject.signed, issuer.publicKey)) throw untrusted('signature', subject)
  }

  /** A region's authority speaks for its own region only, and only our region is ours. */
  #checkRegion(leaf: Certificate, issuer: Certificate): void {
    const regionId = leaf.subject.ou
    if (issuer.subject.ou !== '' && issuer.subject.ou !== regionId) throw untrusted('issued by the authority of another region', leaf)
    if (this.#regionId === undefined) return
    if (regionId !== this.#regionId || issuer.subject.ou !== this.#regionId) throw untrusted('other region', leaf)
  }

  #remember(authority: Certificate): void {
    // The same key may be certified anew: an old chain that comes by does not bring the shorter certificate back.
    const held = this.#authorities.get(authority.subjectKeyId)
    if (!held || held.notAfter <= authority.notAfter) this.#authorities.set(authority.subjectKeyId, authority)
    const waiting = this.#waiting.get(authority.subjectKeyId)
    if (waiting) this.#accept(waiting, authority)
  }

  #accept(list: RevocationList, authority: Certificate): void {
    if (list.issuer.derHex !== authority.subject.derHex || !authority.keyUsage.has('cRLSign')) throw untrusted('CRL issuer', authority)
    if (!isSignedBy(list.signed, authority.publicKey)) throw untrusted('CRL signature', authority)
    const held = this.#lists.get(list.authorityKeyId)
    if (held && held.number > list.number)
      throw new Problem('certificate/invalid', { reason: 'older CRL', number: list.number, held: held.number })
    this.#lists.set(list.authorityKeyId, list)
    this.#waiting.delete(list.authorityKeyId)
  }

  #checkNow(certificate: Certificate, at: EpochMs, options: ChainOptions): void {
    const list = this.#lists.get(certificate.authorityKeyId)
    const revokedAt = list?.revoked.get(certificate.serial)
    const isReplaced = options.acceptSuperseded && list?.reasons.get(certificate.serial) === 'superseded'
    // A clock that is behind must not keep a revoked party alive, so for the present the date does not matter.
    if (revokedAt !== undefined && !isReplaced && !(options.historical && at < revokedAt)) {
      throw new Problem('certificate/revoked', { subject: certificate.subject.cn, serial: certificate.serial, revokedAt })
    }
    const { notBefore, notAfter } = certificate
    if (at < notBefore || at > notAfter) {
      throw new Problem('certificate/expired', { subject: certificate.subject.cn, serial: certificate.serial, notBefore, notAfter, at })
    }
  }
}
