import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseCertificate, parseCrl, parseTimeStampToken, sm3, TrustStore, verifyDocument, verifyTimeStamp } from 'pki'
import { runCli } from '../../../pki/src/cli/run.ts'
import { canonicalJson, SignedDocumentFile, type CertificateRow, type ConsultDetail, type ConsultRow, type ExamRow, type LinkStatus, type ProcessorChoice } from 'specs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { identityOf } from '../../../scripts/region/dicom-file.ts'
import { A, C } from '../../src/access/builders.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { TestRegion, type TestHospital } from '../support/region.ts'

const soon = { timeout: 30_000, interval: 50 }
let region: TestRegion
let a: TestHospital, c: TestHospital
let doctor: ApiUser, expert: ApiUser, security: ApiUser
let exam: ExamRow

beforeAll(async () => {
  region = await TestRegion.start()
  a = await region.add(A, '云溪县人民医院', ['submitter'], { region: { heartbeatMs: 500, dualCertificates: true } })
  c = await region.add(C, '澄江省立医院', ['processor'])
  doctor = await a.signIn('doctor')
  expert = await c.signIn('expert')
  security = await region.security()
  const folder = join(unpackFixtures('ct-head-tiny'), 'ct-head-tiny')
  const files = (await readdir(folder)).sort().slice(0, 2).map((name) => join(folder, name)) // prettier-ignore
  const instances = await Promise.all(files.map(async (file) => instanceOfFile(file, await identityOf(file))))
  await sendInstances({ host: '127.0.0.1', port: a.node.dimsePort, aeTitle: 'TEST' }, instances, { callingAeTitle: 'CT01' })
  exam = await vi.waitFor(async () => {
    const { rows } = await doctor.get<{ rows: ExamRow[] }>('/api/exams')
    if (rows[0]?.instanceCount !== 2) throw new Error('no exam yet')
    return rows[0]
  }, soon)
  await vi.waitFor(async () => expect((await doctor.get<ProcessorChoice[]>('/api/processors')).map(({ id }) => id)).toContain(C), soon)
}, 120_000)
afterAll(() => region?.stop())

async function apply(): Promise<string> {
  const taskId = randomUUID()
  const wish = { taskId, examId: exam.examId, mode: 'pull', imagesTo: 'none', target: { kind: 'hospital', hospitalId: C }, urgency: 'routine', question: '颅内有无出血？' }
  await doctor.send('POST', '/api/consults', wish)
  return taskId
}
const until = (user: ApiUser, taskId: string, isSo: (consult: ConsultDetail) => boolean) =>
  vi.waitFor(async () => {
    const consult = await user.get<ConsultDetail>(`/api/consults/${taskId}`)
    if (!isSo(consult)) throw new Error(`still ${consult.state} ${JSON.stringify(consult.problem)}`)
    return consult
  }, soon)
const command = (user: ApiUser, taskId: string, name: string, body: object = {}) => user.send<ConsultRow>('POST', `/api/consults/${taskId}/${name}`, body)
const opinion = { findings: '未见异常', opinion: '无出血', advice: '', keyImages: [] }
const serialAt = (hospital: TestHospital) => hospital.node.region.identity.certificate.serial
const linked = (hospital: TestHospital) =>
  vi.waitFor(async () => expect((await (await hospital.signIn('admin')).get<LinkStatus>('/api/link')).state).toBe('connected'), soon)

async function signedTask(): Promise<string> {
  const taskId = await apply()
  await until(expert, taskId, ({ state }) => state === 'submitted')
  await command(expert, taskId, 'claim')
  await command(expert, taskId, 'sign', { opinion, signingPassword: expert.password })
  await until(doctor, taskId, ({ state, opinionValid }) => state === 'returned' && opinionValid !== null)
  return taskId
}

describe('certificates of a member', () => {
  it('are two where a hospital uses dual certificates: one signs, one receives', async () => {
    // SEC-11
    const { certificate, encryption } = a.node.region.identity
    expect([...certificate.keyUsage]).toEqual(['digitalSignature', 'nonRepudiation'])
    expect(encryption?.certificate.keyUsage.has('keyEncipherment')).toBe(true)
    const told = c.node.region.directory?.hospitals.find(({ id }) => id === A)
    expect(told?.encryptionCertificate && parseCertificate(told.encryptionCertificate).serial).toBe(encryption?.certificate.serial)
  })

  it('are renewed over the line without ending it; what was sealed before is read after', async () => {
    // SEC-11, FED-06
    const before = { serial: serialAt(c), links: await linkSince(c) }
    // Sealed for the key that C holds now, and read by C after the renewal and a restart.
    const waiting = a.node.region.line.sealFor([C], { question: '续期之前' })
    await c.node.region.renewCertificate()
    expect(serialAt(c)).not.toBe(before.serial)
    expect(await linkSince(c)).toBe(before.links)
    expect(c.node.region.line.openSealed(waiting, { from: A })).toEqual({ question: '续期之前' })
    await vi.waitFor(() => expect(directoryAt(a, C)).toBe(serialAt(c)), soon)
    await c.stop()
    await c.startAgain()
    expert = await c.signIn('expert')
    await linked(c)
    expect(c.node.region.line.openSealed(waiting, { from: A })).toEqual({ question: '续期之前' })
    await signedTask()
    // The former certificate was replaced, not revoked: what it signed and still waits somewhere counts.
    const row = await security.get<CertificateRow>(`/api/certificates/${before.serial}`)
    expect([row.state, row.current]).toEqual(['valid', false])
  }, 60_000)

  it('survive a joining anew: content of before is read at both ends', async () => {
    const former = serialAt(c)
    const [toC, fromC] = [a.node.region.line.sealFor([C], { n: 1 }), c.node.region.line.sealFor([A], { n: 2 })]
    const admin = await c.signIn('admin')
    await admin.send('PUT', '/api/link', { hubUrl: region.hubUrl, joinCode: await region.invite(C, '澄江省立医院', ['processor'], { known: true }) })
    expect(serialAt(c)).not.toBe(former)
    await linked(c)
    expect(c.node.region.line.openSealed(toC, { from: A })).toEqual({ n: 1 })
    await vi.waitFor(() => expect(directoryAt(a, C)).toBe(serialAt(c)), soon)
    expect(a.node.region.line.openSealed(fromC, { from: C })).toEqual({ n: 2 })
    expect((await security.get<CertificateRow>(`/api/certificates/${former}`)).reason).toMatch(/^superseded/)
    await signedTask()
  }, 60_000)

  it('lie sealed at the hospital', async () => {
    const folder = join(region.folder, C, 'keys', 'yunling')
    for (const name of await readdir(folder)) expect(await readFile(join(folder, name), 'utf8')).not.toMatch(/PRIVATE KEY|NKEY/)
  })
})

describe('an opinion', () => {
  it('is signed by the doctor, who shows the password again, with a time stamp of the region', async () => {
    // SEC-11, CON-01
    const taskId = await apply()
    await until(expert, taskId, ({ state }) => state === 'submitted')
    await command(expert, taskId, 'claim')
    await expert.send('POST', '/api/signing-key/lock')
    await expect(command(expert, taskId, 'sign', { opinion })).rejects.toMatchObject({ code: 'signing/password-needed' })
    await expect(command(expert, taskId, 'sign', { opinion, signingPassword: 'wrong-password' })).rejects.toMatchObject({ code: 'signing/wrong-password' })
    await expert.send('POST', '/api/signing-key/unlock', { password: expert.password })
    await command(expert, taskId, 'sign', { opinion })
    const back = await until(doctor, taskId, ({ state, opinionValid }) => state === 'returned' && opinionValid !== null)
    expect(back).toMatchObject({ opinionValid: true, opinionSignedBy: 'person' })
    expect(back.opinionCertificate?.subject).toContain('CN=expert')
    expect(Math.abs((back.opinionStampedAt ?? 0) - (back.opinion?.text.signedAt ?? 0))).toBeLessThan(5_000)
  }, 40_000)

  it('leaves as a file that anybody verifies with the root alone', async () => {
    // SEC-11
    const taskId = await signedTask()
    const file = SignedDocumentFile.parse(await doctor.get(`/api/consults/${taskId}/signed-opinion`))
    const trust = new TrustStore({ rootPem: (await region.admin.get<{ rootCertificate: string }>('/api/region')).rootCertificate })
    const [author, hospital] = file.signatures
    const stamp = verifyTimeStamp(trust, parseTimeStampToken(Buffer.from(file.timeStamp!, 'base64')), sm3(Buffer.from(author!.signature, 'base64')))
    expect(verifyDocument(trust, file.document, author!, stamp.at).person).toMatchObject({ name: 'expert', title: '主任医师', hospitalId: C })
    expect(verifyDocument(trust, file.document, hospital!, stamp.at).party).toBe(C)
    const altered = { ...file.document, opinion: '有出血' }
    expect(() => verifyDocument(trust, altered, author!, stamp.at)).toThrow(expect.objectContaining({ code: 'envelope/bad-signature' }))

    const [paper, root] = [join(region.folder, 'opinion.json'), join(region.folder, 'root.pem')]
    await writeFile(paper, JSON.stringify(file))
    await writeFile(root, (await region.admin.get<{ rootCertificate: string }>('/api/region')).rootCertificate)
    const said: string[] = []
    const terminal = { env: {}, print: (text: string) => void said.push(text), askSecret: () => Promise.resolve(undefined), now: Date.now }
    expect(await runCli(['verify-document', '--in', paper, '--root', root], terminal)).toBe(0)
    expect(said.join('\n')).toMatch(/expert.*主任医师/)
    await writeFile(paper, JSON.stringify({ ...file, document: altered }))
    expect(await runCli(['verify-document', '--in', paper, '--root', root], terminal)).toBe(1)
    expect(canonicalJson(file.document)).toContain('"opinion":"无出血"')
  }, 40_000)

  it('stays signed when its doctor’s account is disabled, and no other can be signed', async () => {
    // SEC-01, SEC-11
    const taskId = await signedTask()
    const serial = (await doctor.get<ConsultDetail>(`/api/consults/${taskId}`)).opinionCertificate!.serial
    // A revocation list knows whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    const admin = await c.signIn('admin')
    const { rows } = await admin.get<{ rows: { id: string; username: string }[] }>('/api/accounts')
    const { id } = rows.find(({ username }) => username === 'expert')!
    await admin.send('POST', `/api/accounts/${id}/disable`, { reason: '离职' })
    await vi.waitFor(async () => expect((await fetch(`${region.hubUrl}/ca/status/${serial}`).then((answer) => answer.json())) as object).toMatchObject({ status: 'revoked', reason: 'affiliation-changed' }), soon)
    const file = await vi.waitFor(async () => {
      const exported = SignedDocumentFile.parse(await doctor.get(`/api/consults/${taskId}/signed-opinion`))
      expect(parseCrl(exported.crl!).revoked.has(serial)).toBe(true)
      return exported
    }, soon)
    await expect(command(expert, taskId, 'sign', { opinion, signingPassword: expert.password })).rejects.toMatchObject({ code: 'access/not-signed-in' })
    const paper = join(region.folder, 'opinion.json')
    await writeFile(paper, JSON.stringify(file))
    const said: string[] = []
    const terminal = { env: {}, print: (text: string) => void said.push(text), askSecret: () => Promise.resolve(undefined), now: Date.now }
    const judged = await runCli(['verify-document', '--in', paper, '--root', join(region.folder, 'root.pem')], terminal)
    expect([judged, said.join('\n')]).toEqual([0, expect.stringContaining('expert')])
    // Without its time stamp the same file proves nothing about when it was signed.
    const { timeStamp: _timeStamp, ...unstamped } = file
    await writeFile(paper, JSON.stringify(unstamped))
    expect(await runCli(['verify-document', '--in', paper, '--root', join(region.folder, 'root.pem')], terminal)).toBe(1)
  }, 40_000)
})

describe('the certificate authority', () => {
  it('lists, searches and issues for those with the right, and tells everybody what counts', async () => {
    // SEC-11
    const found = await security.get<{ rows: CertificateRow[]; total: number }>('/api/certificates?kind=person&text=expert')
    expect(found.rows.every(({ kind, subject }) => kind === 'person' && subject === 'expert')).toBe(true)
    expect(found.total).toBeGreaterThan(0)
    await expect(region.admin.get('/api/certificates')).rejects.toMatchObject({ code: 'access/forbidden' })
    const crl = await fetch(`${region.hubUrl}/ca/crl.pem`)
    expect([crl.status, (await crl.text()).includes('BEGIN X509 CRL')]).toEqual([200, true])
    expect(await fetch(`${region.hubUrl}/ca/status/00ff`).then((answer) => answer.json())).toMatchObject({ status: 'unknown' })
  })

  it('puts a hospital out within five seconds when the certificate of its node is revoked: envelopes and connection alike', async () => {
    // SEC-11, FED-06
    const stolen = { identity: c.node.region.identity, sealed: c.node.region.line.sealFor([A], { n: 3 }) }
    const at = Date.now()
    await security.send('POST', `/api/certificates/${serialAt(c)}/revoke`, { code: 'key-compromise', reason: '主机被盗' })
    await vi.waitFor(() => {
      expect(() => a.node.region.line.openSealed(stolen.sealed, { from: C })).toThrow(expect.objectContaining({ code: 'certificate/revoked' }))
    }, soon)
    await vi.waitFor(async () => expect((await (await c.signIn('admin')).get<LinkStatus>('/api/link')).state).not.toBe('connected'), soon)
    expect(Date.now() - at).toBeLessThan(5_000)
  }, 20_000)
})

const directoryAt = (hospital: TestHospital, id: string) => {
  const entry = hospital.node.region.directory?.hospitals.find((other) => other.id === id)
  return entry && parseCertificate(entry.certificate).serial
}
const linkSince = async (hospital: TestHospital) => (await (await hospital.signIn('admin')).get<LinkStatus>('/api/link')).since
