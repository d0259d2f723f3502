import { execFileSync } from 'node:child_process'
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { AuditPage, ExportRow, Reidentified } from 'specs'
import type { z } from 'zod'
import type { ApiUser } from '../../../scripts/region/api.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../../../tests/support/browser.ts'
import { A } from '../../src/access/builders.ts'
import { password, TestHospital } from '../support/region.ts'
import { askPydicom, fixture, run } from './dicomweb-support.ts'

const soon = { timeout: 30_000, interval: 50 }
const study = '1.2.276.0.7230010.3.555.1'
const manySlices = '1.2.276.0.7230010.3.555.2'
const someone = { PatientName: 'Zhang^XiuLan=张^秀兰', PatientID: 'YX0031846', PatientBirthDate: '19610412', AccessionNumber: 'CT20261122007', InstitutionName: 'Yunxi County Hospital', ReferringPhysicianName: 'Wang^Jianguo' }
/** Where no table expects a name. */
const hostile = { BodyPartExamined: 'XIULAN', StudyDescription: 'chest ZHANG XiuLan', SeriesDescription: 'YX0031846', ImageComments: '13812348888', ContentLabel: 'ZHANG', ConvolutionKernel: 'YX0031846' }
const clear = ['Zhang', 'ZHANG', 'XiuLan', 'XIULAN', '张^', '秀兰', 'YX0031846', '19610412', 'CT20261122007', 'Jianguo', 'Yunxi', '13812348888', study]

let folder: string
let hospital: TestHospital
let doctor: ApiUser, expert: ApiUser, records: ApiUser
let originals: string

/** Fixtures of every kind and syntax, all of one patient and one study; written by DCMTK. */
function stamp(): string {
  const out = join(folder, 'originals')
  mkdirSync(out)
  const syntaxes = readdirSync(fixture('syntaxes')).filter((name) => /BigEndianExplicit|Deflated|JPEG2000LosslessOnly|JPEGLSLossless|Process14SV1/.test(name))
  const files = [
    ...['CTHead1.dcm', 'CTHead2.dcm'].map((name) => fixture('ct-head-tiny', name)),
    fixture('mr-brain', 't1-36749880.dcm'),
    fixture('dx-small', 'dx_image.dcm'),
    fixture('dx-chest', 'LIDC-IDRI-0005_dx.dcm'),
    fixture('us-rgb', 'examples_rgb_color.dcm'),
    fixture('us-echo', 'I_000003.dcm'),
    fixture('us-palette', 'examples_palette.dcm'),
    fixture('xa-multiframe', 'jpeg_baseline_8bit.dcm'),
    ...syntaxes.map((name) => fixture('syntaxes', name)),
  ]
  expect(syntaxes).toHaveLength(5)
  for (const [at, file] of files.entries()) {
    const copy = join(out, `${String(at).padStart(2, '0')}.dcm`)
    copyFileSync(file, copy)
    const values = { SpecificCharacterSet: 'ISO_IR 192', StudyInstanceUID: study, SeriesInstanceUID: `${study}.${at + 1}`, ...someone, ...hostile }
    execFileSync('dcmodify', ['-nb', '-gin', ...Object.entries(values).flatMap(([key, value]) => ['-i', `${key}=${value}`]), copy], { stdio: 'pipe' })
  }
  return out
}

async function stow(files: readonly string[]): Promise<void> {
  const pieces = files.flatMap((file) => [Buffer.from('--x9\r\nContent-Type: application/dicom\r\n\r\n'), readFileSync(file), Buffer.from('\r\n')])
  const answer = await doctor.raw('/dicom-web/studies', { method: 'POST', headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=x9', accept: 'application/dicom+json' }, body: Buffer.concat([...pieces, Buffer.from('--x9--\r\n')]) })
  expect([answer.status, await answer.text()][0]).toBe(200)
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-export-'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', { access: { export: { maxPictures: 110, atOnce: 2 } } })
  ;[doctor, expert, records] = [await hospital.signIn('doctor'), await hospital.signIn('expert'), await hospital.signIn('records')]
  originals = stamp()
  await stow(readdirSync(originals).map((name) => join(originals, name)))
  const slices = join(folder, 'slices')
  mkdirSync(slices)
  for (const name of readdirSync(fixture('ct-chest')).slice(0, 40)) copyFileSync(fixture('ct-chest', name), join(slices, name))
  execFileSync('dcmodify', ['-nb', '-m', `StudyInstanceUID=${manySlices}`, ...readdirSync(slices).map((name) => join(slices, name))], { stdio: 'pipe' })
  await stow(readdirSync(slices).map((name) => join(slices, name)))
  await vi.waitFor(() => doctor.get(`/api/exams/by-study/${manySlices}`), soon)
}, 120_000)
afterAll(async () => {
  await hospital?.stop()
  await rm(folder, { recursive: true, force: true })
})

const asked = (changes: object = {}) => ({ studyInstanceUid: study, level: 'L3', format: 'dicom', purpose: '教学', reason: '科内读片', ...changes })
const prepared = (changes: object = {}, who = doctor) => who.send<ExportRow>('POST', '/api/exports', asked(changes))
let packages = 0

/** Downloaded and unpacked by Python. */
async function unpacked(row: ExportRow, who = doctor): Promise<{ at: string; bytes: Buffer; names: string[]; report: string }> {
  const answer = await who.raw(`/api/exports/${row.exportId}/file`)
  expect([answer.status, answer.headers.get('content-type'), answer.headers.get('content-disposition')]).toEqual([200, 'application/zip', `attachment; filename="export-${row.level}-${row.exportId.slice(0, 8)}.zip"`])
  const bytes = Buffer.from(await answer.arrayBuffer())
  const at = join(folder, `package-${++packages}`)
  writeFileSync(`${at}.zip`, bytes)
  const names = JSON.parse(execFileSync('/usr/bin/python3', ['-c', 'import sys, zipfile, json; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; z.extractall(sys.argv[2]); print(json.dumps(z.namelist()))', `${at}.zip`, at], { encoding: 'utf8' })) as string[]
  return { at, bytes, names, report: readFileSync(join(at, '说明-README.txt'), 'utf8') }
}
interface Read {
  readonly pairs: [string | null, string][]
  readonly files: Record<string, Record<string, string> & { private: number; methods: string[] }>
  readonly identifying: string[]
  readonly dates: [string, string][]
}
/** Numbers count as a whole: digits of a number stand in every new UID. */
const holds = (bytes: Buffer, secret: string) => (/^\d{1,7}$/.test(secret) ? new RegExp(`(?<!\\d)${secret}(?!\\d)`).test(bytes.toString('latin1')) : bytes.includes(secret))
const read = (at: string) => askPydicom('read-export.py', [originals, at]) as Read
const events = async (query: string) => (await (await hospital.signIn('auditor')).get<z.infer<typeof AuditPage>>(`/api/audit/records?${query}`)).rows
const refusal = (code: string) => expect.objectContaining({ code }) as unknown

describe('a pseudonymous export', () => {
  it('holds nothing of the patient, whatever the syntax, and every pixel as it was', async () => {
    // SEC-06, SEC-10, VWR-33
    const row = await prepared({ includeShown: true, project: '肺结节研究' })
    expect([row.state, row.count, row.leftOut]).toEqual(['ready', 14, []])
    const { at, bytes, names, report } = await unpacked(row)
    expect(names.filter((name) => name.endsWith('.dcm'))).toHaveLength(14)
    const { pairs, files, identifying, dates } = read(at)
    expect(pairs.filter(([original]) => original === null)).toEqual([])
    expect(new Set(pairs.map(([original]) => original)).size).toBe(14)
    expect(identifying.length).toBeGreaterThan(50)
    // Deflated data are looked at inflated: pydicom has written down what it read, file by file.
    const plain = Buffer.concat([bytes, ...Object.keys(files).map((file) => Buffer.from(run('dcmdump', ['+L', '+Up', file])))])
    for (const secret of [...clear, ...identifying]) expect([secret, holds(plain, secret)], secret).toEqual([secret, false])
    // A moved date may fall on another study's: each is compared with its own.
    for (const [before, after] of dates) expect(after === '' || after !== before, before).toBe(true)
    expect(dates.filter(([before]) => before !== '').length).toBeGreaterThan(5)
    for (const [file, told] of Object.entries(files)) {
      expect([told['PatientName'], told['PatientID'], told['AccessionNumber'], told['PatientIdentityRemoved'], told['LongitudinalTemporalInformationModified'], told['PatientBirthDate'], told['meta'], told.private], file).toEqual(
        ['PAT-000001', 'PAT-000001', 'ST-000001', 'YES', 'MODIFIED', '', told['SOPInstanceUID'], 0],
      ) // prettier-ignore
      expect(told.methods).toEqual(['113100', '113107', '113108'])
    }
    expect(new Set(Object.values(files).map((told) => told['StudyInstanceUID'])).size).toBe(1)
    expect(new Set(Object.values(files).map((told) => told['SOPInstanceUID'])).size).toBe(14)
    expect(report).toContain('像素中可能显示姓名')
    for (const line of readFileSync(join(at, 'SM3SUMS.txt'), 'utf8').trim().split('\n')) {
      const [sum, ...path] = line.split('  ')
      expect(run('openssl', ['dgst', '-sm3', join(at, path.join('  '))])).toContain(sum)
    }
  })

  it('is as good DICOM as what was stored', async () => {
    const { at } = await unpacked(await prepared({ includeShown: true }))
    const errors = (file: string) => run('dciodvfy', [file]).split('\n').filter((line) => line.startsWith('Error'))
    const worse = read(at).pairs.flatMap(([original, exported]) => {
      const before = new Set(errors(original ?? ''))
      return errors(exported).filter((line) => !before.has(line)).map((line) => `${basename(original ?? '')}: ${line}`) // prettier-ignore
    })
    expect(worse).toEqual([])
  })

  it('leaves behind what may show a name, and says so', async () => {
    const row = await prepared()
    expect([row.count, row.leftOut]).toEqual([9, [{ reason: 'kind', count: 5 }]]) // three of ultrasound, two secondary captures that call themselves CT
    const { names, report } = await unpacked(row)
    expect(names.some((name) => name.includes('-US/'))).toBe(false)
    expect(report).toMatch(/未导出 Left out: 5[\s\S]*超声[\s\S]*S\d{3}-US\/00001/)
    await expect(prepared({ includeShown: true }, expert)).rejects.toEqual(refusal('access/forbidden'))
  })

  it('names a patient alike within a project and differently outside, and only whoever may finds out who it is', async () => {
    const few = { seriesInstanceUids: [`${study}.3`] }
    const [again, other] = [await unpacked(await prepared({ project: '肺结节研究', ...few })), await unpacked(await prepared({ project: '另一研究', ...few }))]
    const of = ({ at }: { at: string }) => Object.values(read(at).files)[0]?.['StudyInstanceUID']
    const first = Object.values(read(join(folder, 'package-1')).files)[0]?.['StudyInstanceUID']
    expect(of(again)).toBe(first)
    expect(of(other)).not.toBe(first)
    const { rows } = await records.get<{ rows: { projectId: string; name: string; patients: number }[] }>('/api/export-projects')
    const project = rows.find(({ name }) => name === '肺结节研究')
    expect([project?.patients, rows.length]).toEqual([1, 2])
    const path = `/api/export-projects/${project?.projectId}/reidentify`
    await expect(doctor.send('POST', path, { pseudonym: 'PAT-000001', reason: '发现危急值' })).rejects.toEqual(refusal('access/forbidden'))
    await expect(records.send('POST', path, { pseudonym: 'PAT-000002', reason: '发现危急值' })).rejects.toEqual(refusal('export/pseudonym-unknown'))
    expect(await records.send<Reidentified>('POST', path, { pseudonym: 'st-000001', reason: '研究中发现危急值，需通知患者' })).toEqual({ pseudonym: 'ST-000001', patientId: 'YX0031846', patientName: '张秀兰', studyInstanceUid: study, accessionNumber: 'CT20261122007' })
    const [told] = await events('action=patient.reidentify')
    expect(told).toMatchObject({ actor: { name: 'records' }, object: { type: 'patient', id: 'ST-000001' }, reason: '研究中发现危急值，需通知患者' })
    const sealed = Buffer.concat(['', '-wal'].map((end) => readFileSync(join(folder, A, `node.sqlite${end}`))))
    expect([sealed.includes('export_pseudonym'), sealed.includes('{"patientId":"YX0031846"')]).toEqual([true, false])
  })

  it('does not name the patient in its purpose', async () => {
    await expect(prepared({ purpose: '张秀兰 读片' })).rejects.toEqual(refusal('export/purpose-names-patient'))
  })
})

describe('a masked export and one in full', () => {
  it('masks the header of every file, deflated ones too', async () => {
    // SEC-06
    const { at, names } = await unpacked(await prepared({ level: 'L1' }, expert), expert)
    expect(names.filter((name) => name.endsWith('.dcm'))).toHaveLength(9)
    const { pairs, files } = read(at)
    expect(pairs.filter(([original]) => original === null)).toEqual([])
    for (const told of Object.values(files)) expect([told['PatientName'], told['PatientID'], told['PatientBirthDate'], told['StudyInstanceUID']]).toEqual(['Zhang^X***', 'YX0031846', '19610101', study])
  })
  it('gives files as they are to whoever may unmask, on somebody’s word', async () => {
    // SEC-10
    await expect(prepared({ level: 'L0' })).rejects.toEqual(refusal('request/invalid'))
    await expect(prepared({ level: 'L0', authorisation: '院办 2026-118' }, expert)).rejects.toEqual(refusal('access/forbidden'))
    const row = await prepared({ level: 'L0', authorisation: '院办 2026-118', reason: '转院' })
    const { at, names } = await unpacked(row)
    expect(names.filter((name) => name.endsWith('.dcm'))).toHaveLength(14)
    expect(Object.values(read(at).files).every((told) => told['PatientName'] === 'Zhang^XiuLan=张^秀兰')).toBe(true)
    const [began] = await events('action=image.export')
    expect(began).toMatchObject({ actor: { name: 'doctor' }, object: { type: 'study', id: study }, reason: '转院', purpose: '教学', facts: { exportId: row.exportId, level: 'L0', count: 14, authorisation: '院办 2026-118' } })
    const [unmasked] = await events('action=patient.unmask')
    expect(unmasked).toMatchObject({ reason: '转院', basis: 'export', facts: { exportId: row.exportId } })
    const ended = await vi.waitFor(async () => (await events('action=image.export-end'))[0], soon)
    expect(ended).toMatchObject({ outcome: 'success', facts: { exportId: row.exportId, state: 'done', done: 14 } })
  })
})

describe('pictures', () => {
  it('show who took them, when and for what, and the patient only when asked', async () => {
    // SEC-10, VWR-33, VWR-34
    const echo = await unpacked(await prepared({ level: 'L0', authorisation: '院办', format: 'jpeg', seriesInstanceUids: [`${study}.7`] }))
    const dx = { format: 'png', seriesInstanceUids: [`${study}.4`] }
    const [bare, named] = [await unpacked(await prepared({ ...dx, level: 'L3' })), await unpacked(await prepared({ ...dx, level: 'L1', identification: true }))]
    expect(echo.names.filter((name) => /^S\d{3}-US\/00001-\d{4}\.jpg$/.test(name)).length).toBeGreaterThan(5)
    const [name = ''] = bare.names
    expect([name, named.names[0]]).toEqual([expect.stringMatching(/^S\d{3}-DX\/00001\.png$/), name])
    const [without, with_] = [await sharp(join(bare.at, name)).metadata(), await sharp(join(named.at, name)).metadata()]
    expect(without.width).toBe(with_.width)
    // A line above tells whose it is.
    expect((with_.height ?? 0) - (without.height ?? 0)).toBeGreaterThan(20)
    // The texts below are light on black.
    const foot = await sharp(join(bare.at, name)).extract({ left: 0, top: (without.height ?? 0) - 30, width: without.width ?? 1, height: 30 }).greyscale().raw().toBuffer() // prettier-ignore
    expect([foot.some((value) => value > 180), foot.filter((value) => value < 20).length > foot.length / 2]).toEqual([true, true])
    if (process.env['LIANPIAN_SCREENSHOTS']) copyFileSync(join(named.at, name), join(process.env['LIANPIAN_SCREENSHOTS'], 'export-picture.png'))
  })
  it('are no more than the hospital lets out at once', async () => {
    await expect(prepared({ level: 'L0', authorisation: '院办', format: 'png' })).rejects.toEqual(refusal('export/too-large'))
  })
})

describe('on the desk', () => {
  it('is asked for in a dialog, tells what stays behind, and arrives', async () => {
    // SEC-10, VWR-33
    const browser = await launchBrowser()
    try {
      const { page, errors } = await openPerson(browser)
      const { examId } = await doctor.get<{ examId: string }>(`/api/exams/by-study/${study}`)
      await signInOnPage(page, `${hospital.url}/desk/exams/${examId}`, 'doctor', password)
      await page.getByTestId('exam-export').click()
      await picture(page, 'desk-export-begin')
      const dialog = page.getByTestId('export-dialog')
      await dialog.getByText('去标识化', { exact: true }).click()
      expect(await page.getByTestId('export-prepare').isDisabled()).toBe(true)
      // By keyboard: a purpose of one's own, then the reason.
      await page.getByTestId('export-purpose').click()
      await page.keyboard.type('教学查房')
      await page.keyboard.press('Enter')
      await page.getByTestId('export-project').click()
      await page.keyboard.type('脑影像教学')
      await page.keyboard.press('Enter')
      await page.getByTestId('export-reason').fill('住院医师教学')
      await picture(page, 'desk-export')
      await page.getByTestId('export-prepare').click()
      await page.getByTestId('export-left-out').waitFor()
      expect(await page.getByTestId('export-progress').textContent()).toMatch(/将导出 9 个文件[\s\S]*5 幅不导出[\s\S]*像素中显示姓名：5/)
      await picture(page, 'desk-export-ready')
      const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('export-download').click()])
      const file = join(folder, 'by-browser.zip')
      await download.saveAs(file)
      expect([download.suggestedFilename(), run('/usr/bin/python3', ['-c', 'import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).testzip())', file]).trim()]).toEqual([expect.stringMatching(/^export-L3-[0-9a-f]{8}\.zip$/), 'None'])
      await page.locator('[data-testid=export-progress][data-state=done]').waitFor()
      await picture(page, 'desk-export-done')
      await page.goto(`${hospital.url}/desk/exports`)
      await page.getByTestId('export-table').getByText('教学查房 · 脑影像教学').waitFor()
      await picture(page, 'desk-exports')
      expect(errors).toEqual([])

      const keeper = await openPerson(browser, { phone: true })
      await signInOnPage(keeper.page, `${hospital.url}/desk/exports`, 'records', password)
      await keeper.page.getByTestId('project-table').getByRole('row', { name: /脑影像教学/ }).getByRole('button').click()
      await keeper.page.getByTestId('reidentify-pseudonym').fill('PAT-000001')
      await keeper.page.getByTestId('reidentify-reason').fill('教学中发现需复查的病灶')
      await keeper.page.getByTestId('reidentify').click()
      await keeper.page.getByTestId('reidentified').getByText('YX0031846').waitFor()
      await picture(keeper.page, 'desk-reidentify-phone')
      expect(keeper.errors).toEqual([])

      // Without the right there is no button.
      const { page: other } = await openPerson(browser)
      await signInOnPage(other, `${hospital.url}/desk/exams/${examId}`, 'records', password)
      await other.locator('.page-head h1').waitFor()
      expect(await other.getByTestId('exam-export').count()).toBe(0)
      const { page: small } = await openPerson(browser, { phone: true })
      await signInOnPage(small, `${hospital.url}/desk/exams/${examId}`, 'doctor', password)
      await small.getByTestId('exam-export').click()
      await small.getByTestId('export-dialog').getByText('原样', { exact: true }).click()
      await picture(small, 'desk-export-phone')
    } finally {
      await browser.close()
    }
  }, 90_000)
})

describe('a download that does not come to its end', () => {
  /** Reads a little and then no more, so that it cannot run to its end. */
  async function begun(row: ExportRow, who = doctor) {
    const answer = await who.raw(`/api/exports/${row.exportId}/file`)
    expect(answer.status).toBe(200)
    const reader = answer.body!.getReader()
    const got: Uint8Array[] = [(await reader.read()).value!]
    await vi.waitFor(async () => expect((await who.get<ExportRow>(`/api/exports/${row.exportId}`)).sentBytes).toBeGreaterThan(0), soon)
    const rest = async () => {
      for (;;) {
        const { value, done } = await reader.read()
        if (done) return
        got.push(value)
      }
    }
    return { rest, isArchive: () => {
      writeFileSync(join(folder, 'part.zip'), Buffer.concat(got))
      return run('/usr/bin/python3', ['-c', 'import sys, zipfile; print(zipfile.is_zipfile(sys.argv[1]))', join(folder, 'part.zip')]).trim()
    } } // prettier-ignore
  }
  const many = { studyInstanceUid: manySlices, level: 'L1' }

  it('is cancelled, and what arrived is no archive', async () => {
    const row = await prepared(many)
    const { rest, isArchive } = await begun(row)
    expect((await doctor.send<ExportRow>('POST', `/api/exports/${row.exportId}/cancel`)).state).toBe('cancelled')
    await expect(rest()).rejects.toThrow()
    expect(isArchive()).toBe('False')
    expect((await doctor.raw(`/api/exports/${row.exportId}/file`)).status).toBe(409)
    const [ended] = await vi.waitFor(async () => {
      const told = (await events('action=image.export-end')).filter(({ facts }) => facts?.['exportId'] === row.exportId)
      expect(told).toHaveLength(2)
      return told
    }, soon)
    expect(ended).toBeDefined()
  })

  it('ends with the session of its person', async () => {
    const session = await hospital.signIn('doctor')
    const row = await prepared(many, session)
    const { rest } = await begun(row, session)
    await session.send('DELETE', '/api/sessions/current')
    await expect(rest()).rejects.toThrow()
    await vi.waitFor(async () => expect((await doctor.get<ExportRow>(`/api/exports/${row.exportId}`)).state).toBe('broken'), soon)
  })

  it('is nobody else’s', async () => {
    const row = await prepared()
    for (const path of [`/api/exports/${row.exportId}`, `/api/exports/${row.exportId}/file`]) expect((await expert.raw(path)).status).toBe(404)
    await expect(expert.send('POST', `/api/exports/${row.exportId}/cancel`)).rejects.toEqual(refusal('export/unknown'))
    await expect(records.send('POST', '/api/exports', asked())).rejects.toEqual(refusal('access/forbidden'))
  })

  it('breaks off when the node ends, and can be begun again', async () => {
    const row = await prepared(many)
    const { rest, isArchive } = await begun(row)
    const stopped = hospital.stop()
    await expect(rest()).rejects.toThrow()
    expect(isArchive()).toBe('False')
    await stopped
    await hospital.startAgain()
    doctor = await hospital.signIn('doctor')
    expect((await doctor.get<ExportRow>(`/api/exports/${row.exportId}`)).state).toBe('broken')
    const { names } = await unpacked(row)
    expect(names.filter((name) => name.endsWith('.dcm'))).toHaveLength(40)
    // The row is written when the last byte has left, which the browser may have read before.
    await vi.waitFor(async () => expect(await doctor.get<ExportRow>(`/api/exports/${row.exportId}`)).toMatchObject({ state: 'done', done: 40 }), soon)
  })
})
