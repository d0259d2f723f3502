import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { canonicalJson, PartyId, type SignedDocumentFile } from 'specs'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from '../../src/cli/run.ts'
import {
  answerTimeStampRequest,
  createAuthorityRequest,
  createTimeStampRequest,
  generateSm2KeyPair,
  issuePersonCertificate,
  issueServiceCertificate,
  loadPrivateKey,
  loadTimeStampAuthority,
  parseCertificate,
  sm2Sign,
  sm3,
  signDocument,
  tokenOfResponse,
  TrustStore,
  verifyTimeStamp,
} from '../../src/index.ts'
import { aRegion } from '../a-region.ts'

/** What somebody without any program of ours can check of a signed document, years later: with the `openssl` command alone. */
const folder = mkdtempSync(join(tmpdir(), 'lianpian-documents-'))
afterAll(() => rmSync(folder, { recursive: true }))
const ID = 'distid:1234567812345678'
const at = (name: string): string => join(folder, name)
const file = (name: string, content: string | Uint8Array): string => (writeFileSync(at(name), content), at(name))
const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
const opensslSays = (...args: string[]): { status: number | null; text: string } => {
  const { status, stdout, stderr } = spawnSync('openssl', args, { cwd: folder, encoding: 'utf8' })
  return { status, text: stdout + stderr }
}
const terminal = { env: {}, print: () => {}, askSecret: () => Promise.resolve(undefined), now: Date.now }

const region = aRegion()
const C = PartyId.parse('hospital-c')
const hospital = region.party(C)
const doctor = generateSm2KeyPair()
const doctorLeaf = issuePersonCertificate(
  region.ca,
  { userId: 'u-17', hospitalId: C, name: '陈明', title: '主任医师', organisation: '澄江省立医院', regionId: region.regionId, publicKeyPem: doctor.publicKeyPem },
  { days: 365 },
)
const clock = generateSm2KeyPair()
const clockLeaf = issueServiceCertificate(region.ca, { name: '区域时间戳', organisation: '云岭', regionId: region.regionId, publicKeyPem: clock.publicKeyPem }, { days: 365, profile: 'time-stamp' })
const stamps = loadTimeStampAuthority({ certificateChain: [clockLeaf, region.ca.certificatePem], privateKeyPem: clock.privateKeyPem })

const document = { taskId: 't-1', opinion: '考虑周围型肺癌', signer: { hospitalId: C, userId: 'u-17', name: '陈明' }, signedAt: Date.now() }
const signature = sm2Sign(loadPrivateKey(doctor.privateKeyPem), Buffer.from(canonicalJson(document), 'utf8'))
const response = answerTimeStampRequest(stamps, createTimeStampRequest(sm3(signature)).request, Date.now())
const signed: SignedDocumentFile = {
  format: 'lianpian-signed-document/1',
  document,
  signatures: [
    { role: 'author', signature: Buffer.from(signature).toString('base64'), certificateChain: [doctorLeaf, region.ca.certificatePem] },
    { role: 'hospital', ...signDocument(hospital, document) },
  ],
  timeStamp: Buffer.from(tokenOfResponse(response).bytes).toString('base64'),
  exportedAt: Date.now(),
}
const root = file('root.pem', region.root.certificatePem)
const paper = file('opinion.json', JSON.stringify(signed))

describe('a signed document before openssl alone (SEC-11)', () => {
  it('is taken apart by one command, and each part verifies: text, doctor, authority, root', async () => {
    expect(await runCli(['verify-document', '--in', paper, '--root', root, '--extract', at('parts')], terminal)).toBe(0)
    const part = (name: string) => join('parts', name)
    openssl('x509', '-in', part('author.pem'), '-noout', '-pubkey', '-out', at('author.pub'))
    for (const command of [
      ['dgst', '-sm3', '-verify', 'author.pub', '-sigopt', ID, '-signature', part('author.der'), part('document.json')],
      ['pkeyutl', '-verify', '-in', part('document.json'), '-pubin', '-inkey', 'author.pub', '-sigfile', part('author.der'), '-rawin', '-digest', 'sm3', '-pkeyopt', ID],
      ['verify', '-vfyopt', ID, '-CAfile', root, part('authority.pem')],
      ['verify', '-vfyopt', ID, '-partial_chain', '-trusted', part('authority.pem'), part('author.pem')],
      ['verify', '-vfyopt', ID, '-partial_chain', '-trusted', part('authority.pem'), part('hospital.pem')],
    ])
      expect(opensslSays(...command)).toMatchObject({ status: 0 })
    expect(opensslSays('x509', '-in', part('author.pem'), '-noout', '-subject', '-nameopt', 'utf8').text).toMatch(/主任医师.*陈明.*u-17@hospital-c/)
    // One letter of the text, and it is over.
    file('altered.json', readFileSync(at(part('document.json')), 'utf8').replace('周围型', '中央型'))
    expect(opensslSays('dgst', '-sm3', '-verify', 'author.pub', '-sigopt', ID, '-signature', part('author.der'), 'altered.json').status).toBe(1)
  })

  it('has a time stamp that openssl reads, and verifies step by step', () => {
    const text = opensslSays('ts', '-reply', '-in', file('stamp.tsr', response), '-text').text
    expect(text).toMatch(/Status: Granted[^]*Hash Algorithm: sm3/)
    openssl('x509', '-in', join('parts', 'time-stamp.pem'), '-noout', '-pubkey', '-out', at('clock.pub'))
    expect(
      opensslSays('dgst', '-sm3', '-verify', 'clock.pub', '-sigopt', ID, '-signature', join('parts', 'time-stamp-signature.der'), join('parts', 'time-stamp-attributes.der')).text,
    ).toContain('Verified OK')
    // The signed attributes hold the digest of what the stamp says, and that the digest of the doctor's signature.
    const digestOf = (name: string) => openssl('dgst', '-sm3', '-r', join('parts', name)).toString().slice(0, 64)
    expect(readFileSync(at(join('parts', 'time-stamp-attributes.der'))).toString('hex')).toContain(digestOf('time-stamp-info.der'))
    expect(readFileSync(at(join('parts', 'time-stamp-info.der'))).toString('hex')).toContain(digestOf('author.der'))
    expect(opensslSays('verify', '-vfyopt', ID, '-partial_chain', '-trusted', join('parts', 'authority.pem'), '-purpose', 'timestampsign', join('parts', 'time-stamp.pem'))).toMatchObject({ status: 0 })
    // `openssl ts -verify` has no option for the user ID, so it cannot verify any stamp with SM2. Should it learn to, we want to hear of it.
    expect(opensslSays('ts', '-verify', '-in', at('stamp.tsr'), '-data', join('parts', 'author.der'), '-CAfile', root, '-untrusted', join('parts', 'authority.pem')).text).toContain('Verification: FAILED')
  })

  it('may ask for its stamp with a request of openssl', () => {
    const data = file('data.bin', 'hello')
    openssl('ts', '-query', '-data', data, '-sm3', '-cert', '-out', at('query.tsq'))
    const answer = answerTimeStampRequest(stamps, readFileSync(at('query.tsq')), Date.now())
    expect(verifyTimeStamp(region.trust(), tokenOfResponse(answer), sm3(readFileSync(data))).certificate.subject.cn).toBe('区域时间戳')
  })
})

describe('a region authority whose root is locked away', () => {
  it('is certified anew for the same key: only request and certificate travel, and what it issued stays good', async () => {
    const rootFolder = at('safe')
    await runCli(['init-root', '--out', rootFolder, '--name', '区域根'], terminal)
    await runCli(['init-region', '--root', rootFolder, '--out', at('region'), '--region', 'yunling', '--name', '云岭', '--days', '30'], terminal)
    const held = parseCertificate(readFileSync(join(at('region'), 'certificate.pem'), 'utf8'))
    const request = createAuthorityRequest({ name: held.subject, key: loadPrivateKey(readFileSync(join(at('region'), 'key.pem'), 'utf8')) })
    expect(opensslSays('req', '-in', file('authority.csr', request), '-verify', '-vfyopt', ID, '-noout')).toMatchObject({ status: 0 })
    expect(await runCli(['renew-region', '--root', rootFolder, '--request', at('authority.csr'), '--out', at('renewed.pem')], terminal)).toBe(0)
    const renewed = parseCertificate(readFileSync(at('renewed.pem'), 'utf8'))
    expect([renewed.subjectKeyId, renewed.subject.derHex, renewed.isCa]).toEqual([held.subjectKeyId, held.subject.derHex, true])
    expect(renewed.notAfter).toBeGreaterThan(held.notAfter)
    // A leaf issued before is believed under the new certificate.
    await runCli(['request', '--out', at('a'), '--party', 'hospital-a', '--organisation', 'A', '--region', 'yunling'], terminal)
    await runCli(['issue', '--ca', at('region'), '--request', join(at('a'), 'request.pem'), '--out', at('a.pem'), '--days', '20'], terminal)
    const [leaf = ''] = readFileSync(at('a.pem'), 'utf8').split(/(?<=-----END CERTIFICATE-----\n)/)
    const trust = new TrustStore({ rootPem: readFileSync(join(rootFolder, 'certificate.pem'), 'utf8') })
    expect(trust.verifyChain([leaf, renewed.pem], Date.now() + 1_000).party).toBe('hospital-a')
  })
})
