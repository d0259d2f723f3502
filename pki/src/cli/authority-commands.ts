import { type EpochMs, HUB, parseWith, PartyId, Problem, RegionId } from 'specs'
import { createIntermediateCa, createRootCa, issueCertificate, renewIntermediateCa } from '../certificate/authority.ts'
import { parseCertificate } from '../certificate/certificate.ts'
import { createCsr } from '../certificate/request.ts'
import { splitPem } from '../der/pem.ts'
import { generateSm2KeyPair, loadPrivateKey } from '../sm2/keys.ts'
import { readAuthority, readRegister, writeNextCrl, writeRegister } from './authority-folder.ts'
import type { Command, OptionDescription, Options } from './command.ts'
import { certificateFile, crlFile, keyFile, readText, replaceFile, requestFile, writeNewKey } from './files.ts'
import { passphraseFor, type Terminal } from './terminal.ts'

const DAY_MS = 86_400_000

const encryptKey: OptionDescription = { about: '用口令加密私钥（SM4-CBC）encrypt the key; passphrase from the environment or the keyboard' }
const ca: OptionDescription = { about: '证书机构目录 folder of the authority', value: 'folder', required: true }
const out = (about: string): OptionDescription => ({ about, value: 'path', required: true })
const nextDays: OptionDescription = { about: '下次更新期限（天）days until the next list', value: 'days', fallback: '30' }

/** Stores a new key, encrypted if wished, before anything that refers to it is written. */
async function storeKey(folder: string, privateKeyPem: string, options: Options, terminal: Terminal): Promise<void> {
  const encrypt = options.flag('encrypt-key')
  const pem = encrypt ? loadPrivateKey(privateKeyPem).exportPem(await passphraseFor(terminal, `${folder} 新私钥口令`)) : privateKeyPem
  writeNewKey(keyFile(folder), pem)
}

export const initRoot: Command = {
  about: '建立根证书机构 create the root authority; keep its folder offline afterwards',
  options: {
    out: out('新目录 new folder'),
    name: { about: '名称 name', value: 'text', required: true },
    days: { about: '有效期（天）validity in days', value: 'days', fallback: '7300' },
    'encrypt-key': encryptKey,
  },
  async run(options, terminal) {
    const folder = options.text('out')
    const root = createRootCa({ name: options.text('name'), days: options.days('days'), now: terminal.now() })
    await storeKey(folder, root.privateKeyPem, options, terminal)
    replaceFile(certificateFile(folder), root.certificatePem)
    writeRegister(folder, { crlNumber: 0, issued: [] })
    terminal.print(`${certificateFile(folder)}  SM3 ${parseCertificate(root.certificatePem).fingerprintSm3}`)
  },
}

export const initRegion: Command = {
  about: '由根签发区域证书机构 create the authority of a region under the root',
  options: {
    root: { ...ca, about: '根证书机构目录 folder of the root' },
    out: out('新目录 new folder'),
    region: { about: '区域标识 region identifier', value: 'id', required: true },
    name: { about: '名称 name', value: 'text', required: true },
    days: { about: '有效期（天）validity in days', value: 'days', fallback: '3650' },
    'encrypt-key': encryptKey,
  },
  async run(options, terminal) {
    const [rootFolder, folder] = [options.text('root'), options.text('out')]
    const root = await readAuthority(rootFolder, terminal)
    const regionId = parseWith(RegionId, options.text('region'), 'region')
    const region = createIntermediateCa(root, { name: options.text('name'), regionId, days: options.days('days'), now: terminal.now() })
    await storeKey(folder, region.privateKeyPem, options, terminal)
    writeRegister(folder, { crlNumber: 0, issued: [] })
    record(rootFolder, region.certificatePem, terminal.now())
    replaceFile(certificateFile(folder), region.certificatePem)
    terminal.print(certificateFile(folder))
  },
}

export const renewRegion: Command = {
  about: '由根为区域证书机构续期（密钥不变） certify the key of a region authority anew; only request and certificate travel',
  options: {
    root: { ...ca, about: '根证书机构目录 folder of the root' },
    request: { about: '区域证书机构的申请文件 request, from "hub/src/cli.ts authority-request"', value: 'path', required: true },
    out: out('证书文件，交给 hub/src/cli.ts import-authority certificate file'),
    days: { about: '有效期（天）validity in days', value: 'days', fallback: '3650' },
  },
  async run(options, terminal) {
    const folder = options.text('root')
    const root = await readAuthority(folder, terminal)
    const certificate = renewIntermediateCa(root, readText(options.text('request')), { days: options.days('days'), now: terminal.now() })
    record(folder, certificate, terminal.now())
    replaceFile(options.text('out'), certificate)
    const { subject, serial } = parseCertificate(certificate)
    terminal.print(`${options.text('out')}  ${subject.cn} ${subject.ou}  serial ${serial}`)
  },
}

export const request: Command = {
  about: '在本院生成密钥和证书申请 make a key and a certificate request (PKCS#10)',
  options: {
    out: out('新目录 new folder'),
    party: { about: `参与方标识，平台为 ${HUB} party identifier, "${HUB}" for the hub`, value: 'id', required: true },
    organisation: { about: '机构名称 organisation', value: 'text', required: true },
    region: { about: '区域标识 region identifier', value: 'id', required: true },
    'encrypt-key': encryptKey,
  },
  async run(options, terminal) {
    const folder = options.text('out')
    const { privateKeyPem } = generateSm2KeyPair()
    const party = parseWith(PartyId, options.text('party'), 'party')
    const regionId = parseWith(RegionId, options.text('region'), 'region')
    const csr = createCsr({ party, organisation: options.text('organisation'), regionId, privateKeyPem })
    await storeKey(folder, privateKeyPem, options, terminal)
    replaceFile(requestFile(folder), csr)
    terminal.print(requestFile(folder))
  },
}

export const issue: Command = {
  about: '按申请签发证书，输出证书链 issue a certificate; writes the chain, leaf first',
  options: {
    ca,
    request: { about: '证书申请文件 request file', value: 'path', required: true },
    out: out('证书链文件 chain file, chain.pem of the party'),
    days: { about: '有效期（天）validity in days', value: 'days', fallback: '730' },
  },
  async run(options, terminal) {
    const folder = options.text('ca')
    const authority = await readAuthority(folder, terminal)
    const leaf = issueCertificate(authority, readText(options.text('request')), { days: options.days('days'), now: terminal.now() })
    record(folder, leaf, terminal.now())
    replaceFile(options.text('out'), leaf + authority.certificatePem)
    terminal.print(`${options.text('out')}  serial ${parseCertificate(leaf).serial}`)
  },
}

/** In the register before the certificate leaves the house: what is not recorded could not be revoked. */
function record(folder: string, certificatePem: string, issuedAt: EpochMs): void {
  const { serial, subject, notAfter } = parseCertificate(certificatePem)
  const register = readRegister(folder)
  writeRegister(folder, { ...register, issued: [...register.issued, { serial, subject: subject.cn, issuedAt, notAfter }] })
}

export const revoke: Command = {
  about: '吊销证书并签发新的吊销列表 revoke a certificate and issue the next list',
  options: {
    ca,
    serial: { about: '证书序列号 serial number in hex', value: 'hex' },
    certificate: { about: '或证书文件 or a certificate file', value: 'path' },
    'next-days': nextDays,
  },
  async run(options, terminal) {
    const folder = options.text('ca')
    const authority = await readAuthority(folder, terminal)
    const serial = serialOf(options)
    const register = readRegister(folder)
    const entry = register.issued.find((issued) => issued.serial === serial)
    if (!entry) throw new Problem('request/not-found', { serial, reason: 'this authority did not issue it' })
    if (entry.revokedAt === undefined) {
      const issued = register.issued.map((other) => (other === entry ? { ...other, revokedAt: terminal.now() } : other))
      writeRegister(folder, { ...register, issued })
    }
    const number = writeNextCrl(folder, authority, terminal.now(), terminal.now() + options.days('next-days') * DAY_MS)
    terminal.print(`${entry.subject} ${serial} revoked; ${crlFile(folder)} number ${number}`)
  },
}

function serialOf(options: Options): string {
  const file = options.optional('certificate')
  if (file === undefined)
    return options
      .text('serial')
      .toLowerCase()
      .replace(/^(?:00)+(?=..)/, '')
  return parseCertificate(splitPem(readText(file))[0] ?? '').serial
}

export const crl: Command = {
  about: '签发新的吊销列表 issue the next revocation list',
  options: { ca, 'next-days': nextDays },
  async run(options, terminal) {
    const folder = options.text('ca')
    const authority = await readAuthority(folder, terminal)
    const number = writeNextCrl(folder, authority, terminal.now(), terminal.now() + options.days('next-days') * DAY_MS)
    terminal.print(`${crlFile(folder)}  number ${number}`)
  },
}
