import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createCsr, generateSm2KeyPair, parseCertificate, type Certificate } from 'pki'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { OpensslJudge } from '../../../pki/tests/openssl-judge.ts'
import { runCli } from '../../../pki/src/cli/run.ts'
import { PASSPHRASE_VARIABLE } from '../../../pki/src/cli/terminal.ts'
import type { Authority } from '../../src/authority/authority.ts'
import { authorityFiles } from '../../src/authority/files.ts'
import { initAuthority, type SetUpOptions } from '../../src/authority/set-up.ts'
import { importAuthority, nextAuthorityRequest } from '../../src/authority/succession.ts'
import { KnownParties } from '../../src/hospital/known-parties.ts'
import { C, regionId } from '../support/builders.ts'

/** The change of a region authority's key with the root's folder and `npm run pki`; the judge is the openssl command. */
const passphrase = 'correct horse battery'
const judge = new OpensslJudge()
let dir: string
let options: SetUpOptions
let authority: Authority
let [former, present]: Certificate[] = []
let issuedBefore: Certificate[], issuedAfter: Certificate[]
const hospital = { id: C, name: '澄江省立医院' }
const request = () => createCsr({ party: C, organisation: '澄江省立医院', regionId, privateKeyPem: generateSm2KeyPair().privateKeyPem })
const oneOfEveryKind = () => [
  authority.certify(request(), hospital).certificate,
  authority.certify(request(), hospital, 'party-signature').certificate,
  authority.certify(request(), hospital, 'party-encryption').certificate,
  authority.certifyPerson(request(), { userId: 'chen', hospitalId: C, name: '陈医生', title: '主任医师', organisation: '澄江省立医院' }).certificate,
  authority.certifyService(request(), { name: 'HIS 接口', organisation: '澄江省立医院' }).certificate,
  authority.hub.certificate,
  authority.timeStamps.certificate,
]

const terminal = { env: { [PASSPHRASE_VARIABLE]: passphrase }, print: () => undefined, askSecret: () => Promise.resolve(undefined), now: Date.now }

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'rollover-'))
  options = { dir, regionId, regionName: '云岭区域影像网', rootPassphrase: passphrase }
  authority = await initAuthority(options)
  former = authority.certificate
  issuedBefore = oneOfEveryKind()
  const [wish, answer] = [join(dir, 'wish.pem'), join(dir, 'answer.pem')]
  await writeFile(wish, await nextAuthorityRequest(options))
  expect(await runCli(['renew-region', '--root', join(dir, 'root'), '--request', wish, '--out', answer], terminal)).toBe(0)
  await importAuthority(options, await readFile(answer, 'utf8'))
  await authority.refresh()
  present = authority.certificate
  issuedAfter = oneOfEveryKind()
}, 60_000)
afterAll(async () => {
  judge.close()
  await rm(dir, { recursive: true })
})

describe('openssl judges a change of the region authority’s key', () => {
  it('both authorities stand under the one root', () => { // SEC-11
    for (const { pem } of [former!, present!]) expect(judge.certificate(pem, authority.root.pem)).toBe('ok')
    expect(judge.certificate(present!.pem, former!.pem)).not.toBe('ok')
    expect([former!, present!].map(({ subject }) => subject.cn)).toEqual(['云岭区域影像网', '云岭区域影像网 G2'])
  })

  it('every certificate of either stands under the one that issued it, and under no other', () => { // SEC-11
    for (const { pem, subject } of issuedBefore) expect([subject.cn, judge.certificate(pem, former!.pem)]).toEqual([subject.cn, 'ok'])
    for (const { pem, subject } of issuedAfter) expect([subject.cn, judge.certificate(pem, present!.pem)]).toEqual([subject.cn, 'ok'])
    expect(judge.certificate(issuedBefore[0]!.pem, present!.pem)).not.toBe('ok')
    expect(judge.certificate(issuedAfter[0]!.pem, former!.pem)).not.toBe('ok')
    expect(issuedAfter.slice(-2).map(({ serial }) => serial)).not.toEqual(issuedBefore.slice(-2).map(({ serial }) => serial))
  })

  it('each signs its own revocation list', () => { // SEC-11
    const entry = ({ serial }: Certificate) => ({ serial, at: Date.now(), reason: 'key-compromise' as const })
    const [theirs, ours] = [authority.revocationList([entry(issuedBefore[0]!)], 7, former!.subjectKeyId), authority.revocationList([entry(issuedAfter[0]!)], 8)]
    expect([judge.revocationList(theirs, former!.pem), judge.revocationList(ours, present!.pem)]).toEqual(['ok', 'ok'])
    expect(judge.revocationList(theirs, present!.pem)).not.toBe('ok')
    expect(judge.serialsOn(theirs)).toEqual([issuedBefore[0]!.serial])
    expect(judge.serialsOn(ours)).toEqual([issuedAfter[0]!.serial])
  })

  it('the root’s key opens with its passphrase and with nothing else', async () => {
    const file = authorityFiles(dir).root.privateKey
    const publicKey = (word: string) => execFileSync('openssl', ['pkey', '-in', file, '-passin', `pass:${word}`, '-pubout'], { encoding: 'utf8', stdio: 'pipe' })
    expect(publicKey(passphrase)).toBe(parseCertificate(authority.root.pem).publicKey.toPem())
    expect(() => publicKey('another')).toThrow()
  })

  it('the root ends the former authority for good once everybody has come over', async () => { // SEC-11
    expect(await runCli(['revoke', '--ca', join(dir, 'root'), '--serial', former!.serial], terminal)).toBe(0)
    const list = await readFile(join(dir, 'root', 'crl.pem'), 'utf8')
    expect([judge.revocationList(list, authority.root.pem), judge.serialsOn(list)]).toEqual(['ok', [former!.serial]])
    expect(await importAuthority(options, list)).toBe('root-crl')
    expect(await authority.refresh()).toEqual(['root-crl'])
    const { trust } = new KnownParties(authority, regionId)
    expect(trust.verifyLeaf(issuedAfter[0]!.pem, Date.now()).party).toBe(C)
    expect(() => trust.verifyLeaf(issuedBefore[0]!.pem, Date.now())).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
  })
})
