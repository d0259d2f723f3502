import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import { sendDemoStudies } from '../../scripts/region/demo-data.ts'
import { printedPages } from '../support/paper.ts'
import { collectErrors, launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually, startTestRegion } from '../support/region.ts'

const execute = promisify(execFile)

/** Steps 2 to 5 of the story by clicking, in Chromium: a doctor of A, an expert of C, the regional console in between. */
describe('a consultation as people do it with a mouse', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let browser: Browser
  let doctor: Page
  let expert: Page
  let watcher: Page
  let viewerPage: Page
  const errors: string[] = []
  // Playwright's waitForFunction evaluates text in the page, which our content security policy rightly forbids.
  const position = async () => Number(/(\d+)\s*\/\s*75/.exec((await viewerPage.getByTestId('position').textContent()) ?? '')?.[1])

  const passwordOf = (hospitalId: string) => region.hospital(hospitalId).accounts[0]!.password
  async function person(url: string, username: string, password: string): Promise<Page> {
    const { page, errors: own } = await openPerson(browser)
    await signInOnPage(page, url, username, password)
    pages.push(own)
    return page
  }
  const pages: string[][] = []

  beforeAll(async () => {
    region = await startTestRegion()
    await sendDemoStudies(region, () => {})
    browser = await launchBrowser()
    doctor = await person(`${region.hospital('hospital-a').url}/desk/`, 'wang', passwordOf('hospital-a'))
    expert = await person(`${region.hospital('hospital-c').url}/desk/consults`, 'chen', passwordOf('hospital-c'))
    watcher = await person(region.file.hub.consoleUrl, 'region', region.file.hub.accounts[0]!.password)
  })
  afterAll(async () => {
    await browser?.close()
    await region?.close()
  })

  it('finds the study, writes the question and submits by push', async () => { // CON-02, CON-09
    const row = doctor.getByTestId('exam-table').locator('tr', { hasText: '张*兰' })
    await row.waitFor()
    await picture(doctor, 'desk-exams')
    await row.getByRole('button', { name: '会诊' }).click()
    await doctor.getByTestId('consult-question').fill('右肺门旁占位性质？是否需要增强检查或穿刺？')
    await doctor.getByTestId('target-select').click()
    await doctor.locator('.el-select-dropdown__item', { hasText: '澄江省立医院' }).locator('visible=true').click()
    await picture(doctor, 'desk-consult-form')
    await doctor.getByTestId('consult-submit').click()
    await doctor.getByTestId('consult-panel').locator('[data-state="submitted"]').first().waitFor()
  })

  it('shows the patient of the request in full for a reason, and covers again what is opened again', async () => { // SEC-06
    const before = doctor.url()
    const name = doctor.locator('.page-head h1')
    await doctor.getByTestId('menu-requests').click()
    await doctor.getByTestId('consult-table').locator('tr', { hasText: '张*兰' }).click()
    await name.filter({ hasText: '张*兰' }).waitFor()
    await doctor.getByTestId('consult-unmask').click()
    await doctor.locator('.el-message-box input').fill('电话核对身份')
    await picture(doctor, 'desk-unmask')
    await doctor.locator('.el-message-box').getByRole('button', { name: '显示' }).click()
    await name.filter({ hasText: '张秀兰' }).waitFor()
    expect(await doctor.getByTestId('consult-exam').textContent()).toContain('张秀兰')
    await picture(doctor, 'desk-unmasked')
    await doctor.getByTestId('exam-refresh').click()
    await name.filter({ hasText: '张*兰' }).waitFor()
    await doctor.goto(before)
  })

  it('moves on the regional console without reload', async () => { // CON-18
    await watcher.getByTestId('task-table').locator('tr', { hasText: '澄江省立医院' }).first().waitFor()
    await picture(watcher, 'console-overview')
  })

  it('appears at the expert, who takes it and opens the images', async () => { // CON-11, VWR-01
    const row = expert.getByTestId('consult-table').locator('tr', { hasText: '张*兰' })
    await row.waitFor()
    await picture(expert, 'desk-consults')
    await row.click()
    await expert.getByTestId('claim').click()
    await expert.getByTestId('read-case').waitFor()
    await picture(expert, 'desk-case')
    const [viewer] = await Promise.all([expert.context().waitForEvent('page'), expert.getByTestId('read-case').click()])
    errors.push(...collectErrors(viewer))
    await viewer.getByTestId('viewport-0').waitFor({ timeout: 60_000 })
    viewerPage = viewer
    await eventually('75 images are announced', async () => (await position()) === 1, 90_000)
    // The first image is on the screen, not only announced.
    await eventually('the first image is shown', () => viewer.evaluate<boolean>('window.__lianpian_viewer?.viewports[0]?.shownIndex !== undefined'), 60_000)
  })

  it('scrolls one image per notch, sets the lung window, and marks two key images', async () => { // VWR-08
    const first = await position()
    await viewerPage.getByTestId('viewport-0').hover()
    await viewerPage.mouse.wheel(0, 100)
    await eventually('one notch is one image', async () => (await position()) === first + 1)
    await viewerPage.getByTestId('preset-lung').click()
    await viewerPage.getByTestId('mark-key-image').click()
    for (let step = 0; step < 5; step++) await viewerPage.keyboard.press('ArrowDown')
    await eventually('five keys are five images', async () => (await position()) === first + 6)
    await viewerPage.getByTestId('mark-key-image').click()
    await picture(viewerPage, 'viewer-reading')
  })

  it('shows the patient in full for a reason above the images, and covers again', async () => { // SEC-06
    const line = viewerPage.getByTestId('patient-line')
    await line.getByText('张*兰').waitFor()
    const title = await viewerPage.title()
    await viewerPage.getByTestId('unmask').click()
    await viewerPage.getByTestId('reason').locator('textarea').or(viewerPage.locator('textarea[data-testid="reason"]')).fill('与申请医院核对身份')
    await picture(viewerPage, 'viewer-unmask')
    await viewerPage.getByTestId('reason-confirm').click()
    await line.getByText('张秀兰').waitFor()
    await picture(viewerPage, 'viewer-unmasked')
    // What was shown for a reason does not go into the browser's history.
    expect(await viewerPage.title()).toBe(title)
    await viewerPage.getByTestId('unmask').click()
    await line.getByText('张*兰').waitFor()
  })

  it('writes the opinion and signs it', async () => { // CON-01
    await viewerPage.getByTestId('opinion-findings').fill('右肺门旁软组织肿块，可见分叶及毛刺，邻近支气管受压变窄。')
    await viewerPage.getByTestId('opinion-text').fill('考虑中央型肺癌可能性大，建议胸部增强CT，必要时支气管镜活检。')
    await viewerPage.getByTestId('opinion-sign').click()
    await viewerPage.getByTestId('signing-password').fill(passwordOf('hospital-c'))
    await viewerPage.getByTestId('opinion-sign-confirm').click()
    await viewerPage.getByTestId('signed-banner').waitFor()
  })

  it('brings opinion and two key images back to the exam without reload', async () => { // CON-01, CON-18
    await doctor.getByTestId('opinion').waitFor()
    expect(await doctor.getByTestId('opinion').textContent()).toContain('中央型肺癌')
    await doctor.getByTestId('opinion-valid').filter({ hasText: '签名有效' }).waitFor()
    await eventually('both key images are drawn', () =>
      doctor.evaluate(() => {
        const images = [...document.querySelectorAll<HTMLImageElement>('[data-testid="key-images"] img')]
        return images.length === 2 && images.every((image) => image.complete && image.naturalWidth > 0)
      }),
    )
    await doctor.getByTestId('timeline').locator('[data-step="read"]').waitFor()
    await picture(doctor, 'desk-opinion')
    await watcher.getByTestId('menu-tasks').click()
    await watcher.getByTestId('task-table').locator('[data-state="read"]').first().waitFor()
    await watcher.getByTestId('task-table').locator('tbody tr').first().click()
    await watcher.getByTestId('timeline').waitFor()
    await picture(watcher, 'console-task')
  })

  it('prints the opinion on A4 at the requester, and enters who printed it where everybody looks', async () => { // CON-01, CON-28
    await doctor.getByTestId('print-opinion').click()
    await doctor.getByTestId('opinion-sheet').waitFor()
    // Both key images are on the paper before anything can be printed.
    await doctor.locator('[data-testid="print-now"]:not(.is-disabled)').waitFor()
    await picture(doctor, 'desk-print')
    const paper = await printedPages(doctor, 'opinion')
    expect(paper.pages).toEqual([{ widthMm: 210, heightMm: 297 }])
    const words = paper.text.replace(/\s/g, '')
    for (const said of ['影像会诊意见书', '澄江省立医院', '云溪县人民医院', '张秀兰', '右肺门旁占位性质', '考虑中央型肺癌可能性大', '陈思远', 'SM2签名已验证，有效', 'CN=陈思远', '打印人王建华']) expect(words).toContain(said)
    for (const unwanted of ['退出', '会诊工作台', '区域已连接']) expect(words).not.toContain(unwanted)
    expect(paper.images).toBe(2)
    const printings = watcher.locator('[data-testid="timeline"] [data-step="printed"]')
    await printings.first().waitFor()
    expect(await printings.first().textContent()).toContain('云溪县人民医院 · 王建华')
    await expert.getByTestId('timeline').locator('[data-step="printed"]').waitFor()
    // The button does what the browser's own menu did: a second copy is a second entry.
    await doctor.getByTestId('print-now').click()
    await eventually('the second copy is entered too', async () => (await printings.count()) === 2)
    await expert.getByTestId('print-opinion').click()
    await expert.getByTestId('sheet-signature').and(expert.locator('[data-state="valid"]')).waitFor()
  })

  it('shows every other page without an error on its console', async () => {
    const admin = await person(`${region.hospital('hospital-c').url}/desk/region`, 'admin', passwordOf('hospital-c'))
    await admin.getByTestId('link').waitFor()
    await picture(admin, 'desk-region')
    // A device nobody registered: the hospital sees it come, counted, without reload.
    await admin.locator('.el-tabs__item', { hasText: '拒收与异常' }).click()
    const { dicom } = region.hospital('hospital-c')
    for (let n = 0; n < 2; n++) await execute('echoscu', ['-aet', 'STRANGER', '-aec', dicom.aeTitle, dicom.host, String(dicom.port)]).catch(() => undefined)
    const stranger = admin.getByTestId('refusal-table').locator('tbody tr', { hasText: 'STRANGER' })
    await stranger.filter({ hasText: '未登记的 AE Title' }).waitFor()
    await eventually('both attempts are one row', async () => (await stranger.getByTestId('refusal-count').textContent()) === '2')
    await picture(admin, 'desk-refusals')
    await admin.getByTestId('refusal-search').fill('nobody')
    await eventually('the filter leaves nothing', async () => (await stranger.count()) === 0)
    await admin.getByTestId('menu-dicomNodes').click()
    await admin.getByTestId('node-table').waitFor()
    await picture(admin, 'desk-dicom-nodes')
    await admin.getByTestId('menu-transfers').click()
    await admin.getByTestId('transfer-table').waitFor()
    await picture(admin, 'desk-transfers')
    await watcher.keyboard.press('Escape')
    await watcher.getByTestId('menu-hospitals').click()
    await watcher.getByTestId('hospital-table').waitFor()
    await picture(watcher, 'console-hospitals')
    await watcher.getByTestId('menu-refusals').click()
    await picture(watcher, 'console-refusals')
    expect([...errors, ...pages.flat()]).toEqual([])
  })

  it('fits a phone', async () => {
    const { page } = await openPerson(browser, { phone: true })
    await signInOnPage(page, `${region.hospital('hospital-c').url}/desk/consults`, 'chen', passwordOf('hospital-c'))
    await page.getByText('全部', { exact: true }).first().click()
    await page.getByTestId('consult-table').waitFor()
    await picture(page, 'desk-consults-phone')
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
    expect(overflow).toBeLessThanOrEqual(0)
    const { studyInstanceUid } = (await (await region.signIn('hospital-a', 'wang')).get<{ rows: { modality: string; studyInstanceUid: string }[] }>('/api/exams')).rows.find(({ modality }) => modality === 'CT')!
    await page.goto(`${region.hospital('hospital-c').url}/viewer/?study=${studyInstanceUid}`)
    await eventually('the phone shows the first image', () => page.evaluate<boolean>('window.__lianpian_viewer?.viewports[0]?.shownIndex !== undefined'), 60_000)
    await picture(page, 'viewer-phone')
    await page.goto(`${region.hospital('hospital-c').url}/desk/consults`)
    await page.getByText('全部', { exact: true }).first().click()
    await page.getByTestId('consult-table').locator('tbody tr').first().click()
    await page.getByTestId('consult-panel').locator('[data-state="read"]').first().waitFor()
    await picture(page, 'desk-case-phone')
    await page.getByTestId('print-opinion').click()
    await page.locator('[data-testid="print-now"]:not(.is-disabled)').waitFor()
    await picture(page, 'desk-print-phone')
    expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0)
  })
})
