import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import { noPlacement, type ExamDetail } from 'specs'
import { identityOf } from '../../scripts/region/dicom-file.ts'
import { desktop, launchBrowser, openPerson, phone, picture, signInOnPage } from '../support/browser.ts'
import { storescu } from '../support/dcmtk.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { fixtureFolder } from '../support/story.ts'

const zhang = { name: '张秀兰', idCard: '530102196104120027' }
/** Check character by GB 11643-1999. */
const weights = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]
zhang.idCard = zhang.idCard.slice(0, 17) + '10X98765432'[weights.reduce((sum, weight, at) => sum + weight * Number(zhang.idCard[at]), 0) % 11]

/** FED-37 and FED-38 by clicking. */
describe('a patient of several hospitals', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let browser: Browser
  let atA: Page, atB: Page, records: Page
  const errors: string[][] = []

  beforeAll(async () => {
    region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-b', 'hospital-c'] })
    await exam('hospital-a', 'mr-overlay', { modality: 'MR', description: '头颅MR平扫', studyDate: '2026-03-02', impression: '未见明显异常' })
    await exam('hospital-b', 'dx-small', { modality: 'DX', description: '胸部正位片', studyDate: '2026-06-18', impression: '心肺膈未见明显异常' })
    browser = await launchBrowser()
    atA = await person('hospital-a', 'wang', '/desk/cross-hospital/consents')
    atB = await person('hospital-b', 'li', '/desk/cross-hospital/search')
    records = await person('hospital-a', 'he', '/desk/cross-hospital/grants')
  })
  afterAll(async () => {
    await browser?.close()
    await region?.close()
  })

  async function person(hospitalId: string, username: string, path: string): Promise<Page> {
    const { page, errors: told } = await openPerson(browser)
    errors.push(told)
    const { url, accounts } = region.hospital(hospitalId)
    await signInOnPage(page, `${url}${path}`, username, accounts.find((account) => account.username === username)!.password)
    return page
  }

  async function exam(hospitalId: string, set: string, { impression, ...facts }: { modality: string; description: string; studyDate: string; impression: string }): Promise<void> {
    const folder = fixtureFolder(set)
    const file = readdirSync(folder, { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('.dcm')) ?? readdirSync(folder)[0]!
    const { studyInstanceUid } = await identityOf(join(folder, file))
    const admin = await region.signIn(hospitalId, 'admin')
    await admin.send<ExamDetail>('POST', '/api/exams', {
      ...noPlacement, ...facts, accessionNumber: `${set.toUpperCase()}`.slice(0, 16), patientId: `${hospitalId}-0317`, patientName: zhang.name, patientSex: 'F', patientBirthDate: '1961-04-12',
      bodyPart: '', studyTime: '09:20:00', studyInstanceUid, clinicalHistory: '头晕一周', reportFindings: '', reportImpression: impression, idCard: zhang.idCard,
    }) // prettier-ignore
    await storescu(region.hospital(hospitalId).dicom, folder)
    await eventually(`${set} is here`, async () => (await admin.get<{ rows: { instanceCount: number }[] }>('/api/exams')).rows.some(({ instanceCount }) => instanceCount > 0))
  }

  async function search(page: Page, code?: string): Promise<void> {
    await page.getByTestId('patient-name').fill(zhang.name)
    await page.getByTestId('patient-id-card').fill(zhang.idCard)
    await page.getByTestId('search-reason').fill('患者头晕就诊，需对照外院头颅检查')
    if (code) await page.getByTestId('search-code').fill(code)
    await page.getByTestId('search-begin').click()
    await page.getByText('全部医院已答复').waitFor()
  }

  it('is found at another hospital with the code that the first one gave out', async () => {
    // FED-37, FED-38
    await search(atB)
    expect(await atB.getByTestId('cross-table').locator('tbody tr').count()).toBe(1) // the own exam
    await picture(atB, 'cross-nothing')
    await atA.getByTestId('consent-add').click()
    await atA.getByTestId('patient-name').fill(zhang.name)
    await atA.getByTestId('patient-id-card').fill(zhang.idCard)
    await atA.getByTestId('consent-code').click()
    await atA.getByTestId('consent-agreed').click()
    await picture(atA, 'consent-form')
    await atA.getByTestId('consent-save').click()
    await atA.locator('.groups').waitFor()
    await picture(atA, 'consent-code')
    const code = (await atA.locator('.groups span').allTextContents()).join('-')
    expect(code).toMatch(/^([0-9A-Z]{4}-){7}[0-9A-Z]{4}$/)
    await atA.getByTestId('code-done').click()
    await search(atB, code)
    const rows = await atB.getByTestId('cross-table').locator('tbody tr').allTextContents()
    expect(rows.map((row) => /云溪县人民医院|青岚市第一医院/.exec(row)?.[0])).toEqual(['青岚市第一医院', '云溪县人民医院'])
    await picture(atB, 'cross-found')
    await atB.setViewportSize(phone)
    await atB.getByTestId('cross-table').scrollIntoViewIfNeeded()
    await picture(atB, 'cross-found-phone')
    await atB.setViewportSize(desktop)
  })

  it('is read there, report and images, until the consent is withdrawn', async () => {
    // FED-37
    await atB.getByTestId('open-hospital-a').click()
    await atB.getByTestId('held-reportImpression').getByText('未见明显异常').waitFor()
    await picture(atB, 'cross-report')
    const [viewer] = await Promise.all([atB.context().waitForEvent('page'), atB.getByTestId('held-view').click()])
    await viewer.getByTestId('open-series').waitFor({ state: 'attached' })
    await eventually('an image is drawn', async () => (await viewer.locator('canvas').count()) > 0)
    await viewer.waitForTimeout(2_000)
    await picture(viewer, 'cross-viewer')
    await atA.getByTestId('consent-withdraw').first().click()
    await atA.locator('.el-message-box input').fill('患者本人要求撤回')
    await picture(atA, 'consent-withdraw')
    const began = Date.now()
    await atA.locator('.el-message-box').getByRole('button', { name: '撤回' }).click()
    await viewer.getByTestId('ended').waitFor({ timeout: 5_000 })
    expect(Date.now() - began).toBeLessThan(5_000)
    expect(await viewer.locator('canvas').count()).toBe(0)
    await picture(viewer, 'cross-ended')
    await atB.getByTestId('held-refusal').waitFor({ timeout: 5_000 })
    await atA.setViewportSize(phone)
    await picture(atA, 'consents-phone')
    await atA.setViewportSize(desktop)
  })

  it('is shared by the hospital’s own decision, seen and taken back on one page', async () => {
    // FED-37
    await records.getByTestId('grant-add').click()
    await records.getByTestId('grant-hospitals').click()
    await records.locator('.el-select-dropdown__item', { hasText: '青岚市第一医院' }).click()
    await records.keyboard.press('Escape')
    await records.getByTestId('grant-reason').fill('医联体转诊协议')
    await picture(records, 'grant-form')
    await records.getByTestId('grant-save').click()
    await records.getByTestId('authorisation-table').getByText('医联体转诊协议').waitFor()
    await atB.getByRole('button', { name: '返回' }).click()
    await atB.getByTestId('search-code').fill('')
    await search(atB)
    await atB.getByTestId('open-hospital-a').click()
    await atB.getByTestId('held-reportImpression').waitFor()
    await records.getByTestId('grant-table').getByText('李文静').first().waitFor()
    await picture(records, 'grants')
    await records.setViewportSize(phone)
    await picture(records, 'grants-phone')
    await records.setViewportSize(desktop)
    await records.getByTestId('authorisation-withdraw').first().click()
    await records.locator('.el-message-box input').fill('协议终止')
    await records.locator('.el-message-box').getByRole('button', { name: '收回' }).click()
    await atB.getByTestId('held-refusal').waitFor({ timeout: 5_000 })
    await records.getByTestId('grant-table').getByText('对方已确认').first().waitFor()
    expect(errors.flat().filter((error) => !/40[34]/.test(error))).toEqual([])
  })
})
