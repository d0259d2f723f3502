import { parseCertificate, parseCrl } from 'pki'
import type { Directory, EpochMs, Opinion, SignedDocumentFile } from 'specs'
import type { Region } from '../region/region.ts'

/** The opinion as a file that stands by itself; the key object stays in the archive, its digest is in the text. */
export function signedDocumentOf({ text, signature, certificateChain, author, timeStamp }: Omit<Opinion, 'keyObject'>, region: Region, now: EpochMs): SignedDocumentFile {
  const hospital = { role: 'hospital' as const, signature, certificateChain }
  return {
    format: 'lianpian-signed-document/1',
    document: { ...text },
    signatures: author ? [{ role: 'author', ...author }, hospital] : [hospital],
    ...(timeStamp !== undefined && { timeStamp }),
    ...(region.directory && { crl: listFor(author?.certificateChain ?? certificateChain, region.directory) }),
    ...(region.membership && { rootCertificate: region.membership.rootCertificate }),
    exportedAt: now,
  }
}

/** The list of the authority that certified the signer: the region may have had another key then. */
function listFor([leaf = '']: readonly string[], { crl, formerCrls = [] }: Directory): string {
  const { authorityKeyId } = parseCertificate(leaf)
  return [crl, ...formerCrls].find((list) => parseCrl(list).authorityKeyId === authorityKeyId) ?? crl
}
