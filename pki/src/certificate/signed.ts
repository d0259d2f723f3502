import { DerReader, malformed, readWhole, Tag } from '../der/reader.ts'
import { oids } from '../der/oids.ts'
import { readBitStringOctets, readOid } from '../der/values.ts'
import * as der from '../der/writer.ts'
import { sm2Sign } from '../sm2/signature.ts'
import type { Sm2PrivateKey, Sm2PublicKey } from '../sm2/keys.ts'

/** SIGNED{…} of X.509: certificates, requests and revocation lists share this shape. */
export interface SignedStructure {
  /** Exact bytes that are signed. */
  readonly tbs: Uint8Array
  readonly signature: Uint8Array
}

export const signatureAlgorithm = (): Uint8Array => der.sequence(der.oid(oids.sm2WithSm3))

/** Only SM2 with SM3 (GM/T 0006); parameters absent as openssl writes them, or NULL as some products do. */
export function readSignatureAlgorithm(reader: DerReader): void {
  const algorithm = reader.enter(Tag.sequence, 'signature algorithm')
  if (readOid(algorithm, 'signature algorithm') !== oids.sm2WithSm3) throw malformed('signature algorithm is not SM2 with SM3')
  if (!algorithm.done && algorithm.content(Tag.null, 'signature algorithm').length > 0) throw malformed('signature algorithm')
  algorithm.finish('signature algorithm')
}

export function readSigned(bytes: Uint8Array, what: string, maxBytes?: number): SignedStructure {
  return readWhole(
    bytes,
    what,
    (reader) => {
      const outer = reader.enter(Tag.sequence, what)
      const tbs = outer.element(Tag.sequence, what)
      readSignatureAlgorithm(outer)
      const signature = readBitStringOctets(outer, 'signature')
      outer.finish(what)
      return { tbs, signature }
    },
    maxBytes,
  )
}

/** A reader inside the signed part. */
export function enterTbs(signed: SignedStructure, what: string): DerReader {
  return new DerReader(signed.tbs).enter(Tag.sequence, what)
}

export function writeSigned(tbs: Uint8Array, key: Sm2PrivateKey): Uint8Array {
  return der.sequence(tbs, signatureAlgorithm(), der.bitString(sm2Sign(key, tbs)))
}

/** The signature input is the tbs with the Z of the signer, default ID (GM/T 0015). */
export function isSignedBy(signed: SignedStructure, key: Sm2PublicKey): boolean {
  return key.verify(signed.tbs, signed.signature)
}
