import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import { A } from '../../node-agent/src/access/builders.ts'
import { aSlice } from '../../node-agent/src/archive/archive.builder.ts'
import { buildFile, type BuiltDataset } from '../../node-agent/src/dicom/dataset.builder.ts'
import { password, TestHospital } from '../../node-agent/tests/support/region.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually } from '../support/region.ts'

/** One hospital by itself: its technicians put images right without any region. */
describe('images under the wrong number, on the pages', () => {
  let folder: string
  let hospital: TestHospital
  let browser: Browser
  let page: Page
  let errors: string[]

  async function store(aeTitle: string, dataset: BuiltDataset): Promise<void> {
    const from = await mkdtemp(join(folder, 'send-'))
    await writeFile(join(from, '1.dcm'), buildFile(dataset))
    await promisify(execFile)('storescu', ['+sd', '-aet', aeTitle, '-aec', 'TEST', '127.0.0.1', String(hospital.node.dimsePort), from])
  }

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lianpian-matching-pages-'))
    hospital = await TestHospital.start(folder, A, '云溪县人民医院', {})
    await (await hospital.signIn('registrar')).send('POST', '/api/exams', {
      accessionNumber: 'CT20260301', patientId: 'P9', patientName: '李四', patientSex: 'F', patientBirthDate: '1980-02-02', modality: 'CT', bodyPart: '胸部', description: '胸部平扫', studyDate: '2026-03-01', studyTime: '',
      studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '', campus: '东院', department: '影像科',
    }) // prettier-ignore
    await store('CT01', aSlice({ StudyInstanceUID: '2.25.900', SeriesInstanceUID: '2.25.900.1', SOPInstanceUID: '2.25.900.1.1', PatientName: 'Li^Si', PatientID: 'TEMP1', PatientBirthDate: '', PatientSex: 'F', AccessionNumber: 'CT20260310', StudyDate: '20260301' }))
    browser = await launchBrowser()
    ;({ page, errors } = await openPerson(browser))
    await signInOnPage(page, `${hospital.url}/desk/archive/unmatched`, 'doctor', password)
  })
  afterAll(async () => {
    await browser?.close()
    await hospital?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  it('are moved to the suggested exam with two clicks and a reason', async () => { // ARC-11, ARC-21
    await page.goto(`${hospital.url}/desk/archive/unmatched`)
    await page.getByText('检查号差一位').first().waitFor()
    await picture(page, 'desk-unmatched')
    await page.getByTestId('unmatched-match').click()
    await page.getByTestId('move-reason').fill('技师录入错误')
    await page.getByTestId('move-submit').click()
    await page.getByText('没有未匹配的影像').waitFor()
    await page.goto(`${hospital.url}/desk/archive/studies/2.25.900`)
    await page.getByTestId('study-origin').filter({ hasText: '已登记' }).waitFor()
    await page.getByTestId('study-states').getByText('更正').waitFor()
    expect(await page.getByTestId('study-corrections').textContent()).toContain('技师录入错误')
    await picture(page, 'desk-study')
  })

  it('go back with one click, and other open pages follow by themselves', async () => {
    const other = await openPerson(browser)
    await signInOnPage(other.page, `${hospital.url}/desk/archive/unmatched`, 'doctor', password)
    await other.page.goto(`${hospital.url}/desk/archive/unmatched`)
    await other.page.getByText('没有未匹配的影像').waitFor()
    await page.getByTestId('correction-undo').click()
    await page.getByRole('dialog').getByRole('textbox').fill('并非同一患者')
    await page.getByRole('dialog').getByRole('button', { name: '撤销' }).click()
    await page.getByTestId('study-origin').filter({ hasText: '未匹配' }).waitFor()
    await other.page.getByText('TEMP1').waitFor()
    expect(other.errors).toEqual([])
    await other.context.close()
  })

  it('are counted on the monitor, and a rule made on the page works on what comes next', async () => { // ARC-18, ARC-25
    const { page: desk, errors: told } = await openPerson(browser)
    await signInOnPage(desk, `${hospital.url}/desk/archive/monitor`, 'admin', password)
    await desk.goto(`${hospital.url}/desk/archive/normalisation`)
    await desk.getByTestId('rule-add').click()
    await desk.getByTestId('rule-name').fill('患者号大写')
    await desk.getByTestId('action-patient-id').click()
    await desk.getByText('字母大写').click()
    await desk.getByTestId('rule-save').click()
    await desk.getByTestId('rule-list').getByText('患者号大写').waitFor()
    await store('US01', aSlice({ StudyInstanceUID: '2.25.901', SeriesInstanceUID: '2.25.901.1', SOPInstanceUID: '2.25.901.1.1', PatientID: 'ab-12', AccessionNumber: '' }))
    await desk.getByRole('tab', { name: '规整报告' }).click()
    await desk.getByTestId('rule-changes').getByText('患者号: ab-12 → AB-12').waitFor()
    await desk.goto(`${hospital.url}/desk/archive/monitor`)
    await eventually('both studies are counted', async () => (await desk.getByTestId('monitor-studies').first().textContent())?.includes('2') ?? false)
    await picture(desk, 'desk-monitor')
    expect([...errors, ...told]).toEqual([])
  })
})
