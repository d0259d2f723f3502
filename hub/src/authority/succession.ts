import { rm } from 'node:fs/promises'
import { createAuthorityRequest, generateSm2KeyPair, loadPrivateKey, parseCertificate, parseCrl, TrustStore, type Certificate } from 'pki'
import { authorityFiles, keyFilesOf, readIfPresent, writeWhole, type KeyMaterial } from './files.ts'
import { issueHub, type AuthorityOptions } from './held.ts'

/** PKCS#10 of the region authority's own key, for the root (`npm run pki -- renew-region`). */
export async function authorityRequest({ dir, safe }: AuthorityOptions): Promise<string> {
  const region = await keyFilesOf(safe).read(authorityFiles(dir).region)
  if (!region) throw new Error(`${dir} holds no region authority`)
  return createAuthorityRequest({ name: parseCertificate(region.certificatePem).subject, key: loadPrivateKey(region.privateKeyPem) })
}

/**
 * PKCS#10 of a new key for the region authority. The present one goes on issuing until the root's answer is imported; asked again
 * before that, it is the same key. The name counts on, so that certificates and revocation lists of two keys have two issuers.
 */
export async function nextAuthorityRequest({ dir, safe }: AuthorityOptions): Promise<string> {
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  const region = await keys.read(files.region)
  if (!region) throw new Error(`${dir} holds no region authority`)
  const begun = await keys.readKey(files.nextRegionKey)
  const privateKeyPem = begun ?? generateSm2KeyPair().privateKeyPem
  if (begun === undefined) await keys.writeKey(files.nextRegionKey, privateKeyPem)
  const { subject } = parseCertificate(region.certificatePem)
  return createAuthorityRequest({ name: { ...subject, cn: nextName(subject.cn) }, key: loadPrivateKey(privateKeyPem) })
}

/** 云岭区域影像网 → 云岭区域影像网 G2 → 云岭区域影像网 G3 */
export function nextName(cn: string): string {
  const [, name = cn, generation = '1'] = /^(.*) G(\d+)$/.exec(cn) ?? []
  return `${name} G${Number(generation) + 1}`
}

export type Imported = 'certificate' | 'next-authority' | 'root-crl'

/**
 * Takes what the root answered: the authority's certificate issued anew for the same key, the certificate of the key that it is going
 * to have, or the root's newest revocation list. A running hub sees it within a minute.
 *
 * @throws {Problem} certificate/… when it is not of this root or not for this region; an Error when it is for neither key.
 */
export async function importAuthority(options: AuthorityOptions, pem: string): Promise<Imported> {
  const { dir, regionId, now = Date.now, safe } = options
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  const region = await keys.read(files.region)
  const rootPem = await readIfPresent(files.rootCertificate)
  if (!region || rootPem === undefined) throw new Error(`${dir} holds no region authority`)
  const trust = new TrustStore({ rootPem, regionId })
  if (pem.includes('BEGIN X509 CRL')) {
    const held = await readIfPresent(files.rootCrl)
    if (held !== undefined) trust.setCrl(held)
    trust.setCrl(pem)
    if (parseCrl(pem).authorityKeyId !== trust.root.subjectKeyId) throw new Error('this list is not of the root')
    await writeWhole(files.rootCrl, pem, 0o644)
    return 'root-crl'
  }
  const certificate = parseCertificate(pem)
  const believed = (privateKeyPem: string): KeyMaterial => {
    const pair = { certificatePem: pem, privateKeyPem }
    // A leaf issued by it must be believed under the pinned root, or nothing that is issued from now on would be.
    const probe = issueHub({ region: pair, regionId, regionName: certificate.subject.o, now: now() })
    trust.verifyChain([probe.certificatePem, pem], now())
    return pair
  }
  const next = await keys.readKey(files.nextRegionKey)
  if (isFor(certificate, region.privateKeyPem)) {
    await keys.write(files.region, believed(region.privateKeyPem))
    if (next === region.privateKeyPem) await rm(files.nextRegionKey) // the end of an import that was interrupted
    return 'certificate'
  }
  if (next === undefined || !isFor(certificate, next)) throw new Error('this certificate is for another key')
  const successor = believed(next)
  // The former pair is safe in its place before the new one takes the name, and the new key before its last copy goes.
  await keys.write(files.formerRegion(parseCertificate(region.certificatePem).serial), region)
  await keys.write(files.region, successor)
  await rm(files.nextRegionKey)
  return 'next-authority'
}

const isFor = (certificate: Certificate, privateKeyPem: string): boolean => loadPrivateKey(privateKeyPem).publicKey.equals(certificate.publicKey)
