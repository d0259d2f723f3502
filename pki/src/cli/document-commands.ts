import { Buffer } from 'node:buffer'
import { join } from 'node:path'
import { canonicalJson, type EpochMs, parseWith, Problem, SignedDocumentFile } from 'specs'
import type { Certificate } from '../certificate/certificate.ts'
import { TrustStore } from '../certificate/trust-store.ts'
import { verifyDocument } from '../envelope/signed-document.ts'
import { sm3 } from '../sm3/sm3.ts'
import { parseTimeStampToken, verifyTimeStamp } from '../time-stamp/token.ts'
import type { Command } from './command.ts'
import { readText, replaceFile } from './files.ts'
import type { Terminal } from './terminal.ts'

const shown = (at: number): string => new Date(at).toISOString()

export const verifyDocumentFile: Command = {
  about: '离线验证已签名文件（会诊意见等） verify a signed document with nothing but the root',
  options: {
    in: { about: '签名文件 signed document, JSON', value: 'path', required: true },
    root: { about: '受信任的根证书，须另行取得 pinned root certificate, obtained from elsewhere', value: 'path', required: true },
    crl: { about: '吊销列表，默认用文件自带的 revocation list, otherwise the one in the file', value: 'path' },
    extract: { about: '导出供 openssl 验证的文件 folder for the parts that openssl can verify', value: 'folder' },
  },
  run(options, terminal) {
    const file = parseWith(SignedDocumentFile, parseJson(readText(options.text('in'))), 'document')
    const crlFile = options.optional('crl')
    const trust = new TrustStore({ rootPem: readText(options.text('root')) })
    const crl = crlFile === undefined ? file.crl : readText(crlFile)
    if (crl !== undefined && crl !== '') trust.setCrl(crl)
    else terminal.print('! 没有吊销列表，未检查证书是否被吊销 no revocation list: revocation was not checked')
    judge(file, trust, terminal)
    const folder = options.optional('extract')
    if (folder !== undefined) extract(file, folder, terminal)
  },
}

/** The time stamp first: it says for which moment certificates are judged. */
function judge(file: SignedDocumentFile, trust: TrustStore, terminal: Terminal): void {
  const stamped = stampOf(file, trust, terminal)
  for (const signature of file.signatures) {
    const certificate = verifySignature(file, signature, trust, stamped, terminal.now())
    terminal.print(`有效 valid  ${describe(certificate)}  serial ${certificate.serial}`)
  }
  if (stamped === undefined) terminal.print('! 没有时间戳，按当前时间判断证书 no time stamp: certificates were judged for now')
}

function stampOf({ timeStamp, signatures }: SignedDocumentFile, trust: TrustStore, terminal: Terminal): EpochMs | undefined {
  if (timeStamp === undefined) return undefined
  const digest = sm3(Buffer.from(signatures[0]?.signature ?? '', 'base64'))
  const { at, certificate } = verifyTimeStamp(trust, parseTimeStampToken(Buffer.from(timeStamp, 'base64')), digest)
  terminal.print(`时间戳 time stamp  ${shown(at)}  ${certificate.subject.cn}`)
  return at
}

/** What a certificate was revoked for later does not undo a signature that a time stamp shows to be older. */
function verifySignature(file: SignedDocumentFile, signature: SignedDocumentFile['signatures'][number], trust: TrustStore, stamped: EpochMs | undefined, now: EpochMs): Certificate {
  const certificate = verifyDocument(trust, file.document, signature, stamped ?? now, { historical: stamped !== undefined, acceptSuperseded: true })
  const wanted = signature.role === 'author' ? 'person' : 'party'
  if (certificate.kind !== wanted) throw new Problem('signing/document-invalid', { reason: `the ${signature.role}'s certificate is of a ${certificate.kind}` })
  const signer: unknown = file.document['signer']
  if (signer !== undefined && !isNamed(certificate, signer)) throw new Problem('signing/document-invalid', { reason: 'the text names another signer' })
  return certificate
}

/** An opinion names its signer; whoever signed must be that person, or that person's hospital. */
function isNamed(certificate: Certificate, signer: unknown): boolean {
  if (typeof signer !== 'object' || signer === null) return false
  const { hospitalId, userId } = signer as { hospitalId?: unknown; userId?: unknown }
  return certificate.person ? certificate.person.hospitalId === hospitalId && certificate.person.userId === userId : certificate.party === hospitalId
}

function describe(certificate: Certificate): string {
  const { person, subject } = certificate
  return person ? `${person.name} ${person.title} ${person.organisation}` : `${subject.o} (${subject.cn})`
}

/** Each part as openssl takes it; pki/README.md has the commands. */
function extract(file: SignedDocumentFile, folder: string, terminal: Terminal): void {
  const write = (name: string, content: string | Uint8Array) => replaceFile(join(folder, name), content)
  write('document.json', canonicalJson(file.document))
  for (const { role, signature, certificateChain } of file.signatures) {
    write(`${role}.der`, Buffer.from(signature, 'base64'))
    certificateChain.forEach((pem, depth) => write(depth === 0 ? `${role}.pem` : 'authority.pem', pem))
  }
  if (file.timeStamp !== undefined) {
    const token = parseTimeStampToken(Buffer.from(file.timeStamp, 'base64'))
    write('time-stamp.der', token.bytes)
    write('time-stamp-info.der', token.info)
    write('time-stamp-attributes.der', token.signedAttributes)
    write('time-stamp-signature.der', token.signature)
    if (token.certificates[0] !== undefined) write('time-stamp.pem', token.certificates[0])
  }
  terminal.print(`${folder}/  document.json, *.der, *.pem`)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Problem('request/invalid', { reason: 'not JSON' }, { cause })
  }
}
