import { Buffer } from 'node:buffer'
import type { EpochMs } from 'specs'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { signatureAlgorithm } from '../certificate/signed.ts'
import { decodePem } from '../der/pem.ts'
import { oids } from '../der/oids.ts'
import { malformed, Tag } from '../der/reader.ts'
import * as der from '../der/writer.ts'
import { loadPrivateKey, type Sm2PrivateKey } from '../sm2/keys.ts'
import { sm2Sign } from '../sm2/signature.ts'
import { sm3 } from '../sm3/sm3.ts'
import { randomBytes } from '../sm4/sm4.ts'
import { encodeImprint, parseTimeStampRequest } from './request.ts'

/** Who signs time stamps: a certificate for that purpose alone, and its chain without the root. */
export interface TimeStampAuthority {
  readonly certificate: Certificate
  readonly certificateChain: readonly string[]
  readonly privateKey: Sm2PrivateKey
}

/** @throws {Problem} certificate/invalid when it is not a certificate for time stamps, or not of this key. */
export function loadTimeStampAuthority(from: { certificateChain: readonly string[]; privateKeyPem: string }): TimeStampAuthority {
  const certificate = parseCertificate(from.certificateChain[0] ?? '')
  const privateKey = loadPrivateKey(from.privateKeyPem)
  if (certificate.kind !== 'time-stamp') throw malformed('not a certificate for time stamps')
  if (!privateKey.publicKey.equals(certificate.publicKey)) throw malformed('key and certificate differ')
  return { certificate, certificateChain: from.certificateChain, privateKey }
}

/**
 * Answers a time stamp request (RFC 3161 2.4.2) with a token signed by SM2 over SM3, default user ID.
 *
 * @param requestDer TimeStampReq. @param now epoch ms, which goes into the token.
 * @returns DER of TimeStampResp. @throws {Problem} certificate/invalid for a request we do not understand.
 */
export function answerTimeStampRequest(authority: TimeStampAuthority, requestDer: Uint8Array, now: EpochMs): Uint8Array {
  const request = parseTimeStampRequest(requestDer)
  const granted = der.sequence(der.smallInteger(0))
  return der.sequence(granted, token(authority, { ...request, now }))
}

function token(
  authority: TimeStampAuthority,
  stamp: { imprint: Uint8Array; nonce: string | undefined; wantsCertificates: boolean; now: EpochMs },
): Uint8Array {
  const serial = Uint8Array.from(randomBytes(16))
  serial[0] = 0x40 | (serial[0]! & 0x3f)
  const info = der.sequence(
    der.smallInteger(1),
    der.oid(oids.timeStampPolicy),
    encodeImprint(stamp.imprint),
    der.unsigned(serial),
    generalizedTime(stamp.now),
    ...(stamp.nonce === undefined ? [] : [der.unsigned(Buffer.from(stamp.nonce, 'hex'))]),
  )
  const certificates = authority.certificateChain.map((pem) => decodePem('CERTIFICATE', pem))
  return der.sequence(der.oid(oids.signedData), der.explicit(0, signedData(authority, info, stamp.wantsCertificates ? certificates : [])))
}

/** RFC 5652 5.1, version 3 because the content is not plain data. */
function signedData({ certificate, privateKey }: TimeStampAuthority, info: Uint8Array, certificates: readonly Uint8Array[]): Uint8Array {
  const digestAlgorithm = der.sequence(der.oid(oids.sm3))
  const attributes = sorted([
    attribute(oids.contentType, der.oid(oids.tstInfo)),
    attribute(oids.messageDigest, der.octetString(sm3(info))),
    attribute(oids.signingCertificateV2, signingCertificate(certificate)),
  ])
  // Signed as a SET OF, carried under [0] (RFC 5652 5.4).
  const signature = sm2Sign(privateKey, der.setOf(...attributes))
  const issuerAndSerial = der.sequence(Buffer.from(certificate.issuer.derHex, 'hex'), der.unsigned(Buffer.from(certificate.serial, 'hex')))
  const signer = der.sequence(
    der.smallInteger(1),
    issuerAndSerial,
    digestAlgorithm,
    der.explicit(0, Buffer.concat(attributes)),
    signatureAlgorithm(),
    der.octetString(signature),
  )
  return der.sequence(
    der.smallInteger(3),
    der.setOf(digestAlgorithm),
    der.sequence(der.oid(oids.tstInfo), der.explicit(0, der.octetString(info))),
    ...(certificates.length === 0 ? [] : [der.explicit(0, Buffer.concat([...certificates]))]),
    der.setOf(signer),
  )
}

const attribute = (type: string, value: Uint8Array): Uint8Array => der.sequence(der.oid(type), der.setOf(value))

/** Which certificate signed, so that another of the same key cannot be put in its place (RFC 5035 3). */
function signingCertificate(certificate: Certificate): Uint8Array {
  const id = der.sequence(der.sequence(der.oid(oids.sm3)), der.octetString(Buffer.from(certificate.fingerprintSm3, 'hex')))
  return der.sequence(der.sequence(id))
}

/** X.690 11.6: the elements of a SET OF in ascending order of their encodings. */
const sorted = (elements: Uint8Array[]): Uint8Array[] => elements.sort((a, b) => Buffer.compare(a, b))

/** RFC 3161 2.4.2: with milliseconds, without trailing zeros. */
function generalizedTime(at: EpochMs): Uint8Array {
  const [seconds = '', fraction = ''] = new Date(at).toISOString().replace('Z', '').split('.')
  const tail = fraction.replace(/0+$/, '')
  return der.element(Tag.generalizedTime, Buffer.from(`${seconds.replaceAll(/[-T:]/g, '')}${tail === '' ? '' : `.${tail}`}Z`, 'latin1'))
}
