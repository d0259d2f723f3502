import { Buffer } from 'node:buffer'
import { EnvelopeHeader, EnvelopeText, parseWith, Problem, RegionId } from 'specs'
import { type Certificate, parseCertificate } from '../certificate/certificate.ts'
import { loadIdentity, type Identity } from '../certificate/identity.ts'
import { parseCsr } from '../certificate/request.ts'
import { parseCrl } from '../certificate/revocation-list.ts'
import { TrustStore } from '../certificate/trust-store.ts'
import { splitPem } from '../der/pem.ts'
import { Opener } from '../envelope/opener.ts'
import { Sealer } from '../envelope/sealer.ts'
import { isEncrypted } from './authority-folder.ts'
import type { Command, OptionDescription, Options } from './command.ts'
import { chainFile, keyFile, readBytes, readText, replaceFile } from './files.ts'
import { passphraseFor, type Terminal } from './terminal.ts'

const input = (about: string): OptionDescription => ({ about, value: 'path', required: true })
const root: OptionDescription = { about: '受信任的根证书 pinned root certificate', value: 'path', required: true }
const crl: OptionDescription = { about: '吊销列表 revocation list', value: 'path' }
const region: OptionDescription = { about: '区域标识 region identifier', value: 'id' }
const as: OptionDescription = { about: '本方目录（key.pem, chain.pem）folder of our own key and chain', value: 'folder', required: true }

const day = (at: number): string => new Date(at).toISOString().replace('.000Z', 'Z')

export const inspect: Command = {
  about: '显示证书、申请、吊销列表或信封头 show a certificate, request, revocation list or envelope header; trusts nothing',
  options: { in: input('文件 file') },
  run(options, terminal) {
    const text = readText(options.text('in'))
    const blocks = splitPem(text)
    if (blocks.length === 0) for (const line of describeEnvelope(text)) terminal.print(line)
    for (const block of blocks) for (const line of describeBlock(block)) terminal.print(line)
  },
}

function describeBlock(block: string): string[] {
  if (block.includes('BEGIN CERTIFICATE REQUEST')) {
    const { party, organisation, regionId } = parseCsr(block)
    return [`证书申请 request     ${party}  ${organisation}  ${regionId}`]
  }
  if (block.includes('BEGIN X509 CRL')) {
    const list = parseCrl(block)
    const head = `吊销列表 CRL         number ${list.number}  ${list.issuer.cn}  ${day(list.thisUpdate)} – ${day(list.nextUpdate)}`
    return [head, ...[...list.revoked].map(([serial, at]) => `  revoked ${serial} since ${day(at)}`)]
  }
  if (block.includes('PRIVATE KEY')) return [`私钥 private key     ${isEncrypted(block) ? '已加密 encrypted' : '未加密 not encrypted'}`]
  return describeCertificate(parseCertificate(block))
}

function describeCertificate(certificate: Certificate): string[] {
  const { subject, issuer, serial, notBefore, notAfter, isCa, pathLen, keyUsage, fingerprintSm3 } = certificate
  return [
    `证书 certificate     ${subject.cn}  ${subject.o}  ${subject.ou}`,
    `  issuer             ${issuer.cn}`,
    `  serial             ${serial}`,
    `  validity           ${day(notBefore)} – ${day(notAfter)}`,
    `  authority          ${isCa ? `yes, path length ${pathLen ?? 'unlimited'}` : 'no'}`,
    `  key usage          ${[...keyUsage].join(', ')}`,
    `  SM3                ${fingerprintSm3}`,
  ]
}

function describeEnvelope(text: string): string[] {
  const { header } = parseWith(EnvelopeText, parseJson(text), 'envelope')
  const { id, audience, sealedAt, certificateChain } = parseWith(
    EnvelopeHeader,
    parseJson(Buffer.from(header, 'base64').toString('utf8')),
    'header',
  )
  const sender = parseCertificate(certificateChain[0] ?? '').subject.cn
  return [
    `信封 envelope        ${id}`,
    `  claims to be from  ${sender}`,
    `  audience           ${audience.join(', ')}`,
    `  sealed             ${day(sealedAt)}`,
  ]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new Problem('request/invalid', { reason: 'neither PEM nor an envelope' }, { cause })
  }
}

function trustOf(options: Options): TrustStore {
  const [crlPath, regionId] = [options.optional('crl'), options.optional('region')]
  return new TrustStore({
    rootPem: readText(options.text('root')),
    ...(crlPath !== undefined && { crlPem: readText(crlPath) }),
    ...(regionId !== undefined && { regionId: parseWith(RegionId, regionId, 'region') }),
  })
}

async function identityOf(options: Options, terminal: Terminal): Promise<Identity> {
  const folder = options.text('as')
  const privateKeyPem = readText(keyFile(folder))
  const passphrase = isEncrypted(privateKeyPem) ? { passphrase: await passphraseFor(terminal, `${folder} 私钥口令`) } : {}
  return loadIdentity({ certificateChain: splitPem(readText(chainFile(folder))), privateKeyPem, ...passphrase })
}

export const verify: Command = {
  about: '验证证书链 verify a chain up to the pinned root',
  options: { root, crl, region, in: input('证书链文件，本方证书在前 chain file, leaf first') },
  run(options, terminal) {
    const leaf = trustOf(options).verifyChain(splitPem(readText(options.text('in'))), terminal.now())
    terminal.print(`有效 valid: ${leaf.party}  ${leaf.subject.o}  until ${day(leaf.notAfter)}`)
  },
}

export const seal: Command = {
  about: '签名并加密 sign and encrypt a file for one or more parties',
  options: {
    as,
    root,
    crl,
    region,
    to: { about: '接收方证书链 chain of a recipient', value: 'path', required: true, several: true },
    in: input('明文文件 plain file'),
    out: input('信封文件 envelope file'),
  },
  async run(options, terminal) {
    const trust = trustOf(options)
    const recipients = options.list('to').map((path) => trust.verifyChain(splitPem(readText(path)), terminal.now()))
    const sealer = new Sealer(await identityOf(options, terminal), { now: terminal.now })
    replaceFile(options.text('out'), sealer.seal({ recipients, body: readBytes(options.text('in')) }))
    terminal.print(`${options.text('out')}  → ${recipients.map(({ party }) => party).join(', ')}`)
  },
}

export const open: Command = {
  about: '验签并解密 verify and decrypt an envelope',
  options: {
    as,
    root,
    crl,
    region,
    in: input('信封文件 envelope file'),
    out: input('明文文件 plain file, mode 0600'),
    'max-age-days': { about: '最长时效（天）oldest envelope accepted', value: 'days', fallback: '30' },
  },
  async run(options, terminal) {
    const maxAgeMs = options.days('max-age-days') * 86_400_000
    const opener = new Opener(await identityOf(options, terminal), trustOf(options), { now: terminal.now, maxAgeMs })
    const opened = opener.open(readBytes(options.text('in')))
    replaceFile(options.text('out'), opened.body, 0o600)
    terminal.print(`${options.text('out')}  ← ${opened.sender}  ${day(opened.sealedAt)}  ${opened.id}`)
  },
}
