import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import type { ConsultRow, ExamRow } from 'specs'
import { launchBrowser, openPerson, phone, picture, signInOnPage } from '../support/browser.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { sendStudy, submit, untilState } from '../support/story.ts'

/** AGT-07 as the administrators of a hospital and of the region see it. */
describe('the page of unanswered messages while the other side is away', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let browser: Browser
  let page: Page
  let errors: string[]
  let exam: ExamRow

  beforeAll(async () => {
    region = await startTestRegion({ hospitals: ['hospital-a', 'hospital-c'] })
    exam = await sendStudy(region, 'hospital-a', 'mr-overlay', 1)
    browser = await launchBrowser()
    ;({ page, errors } = await openPerson(browser))
    const { url, accounts } = region.hospital('hospital-a')
    await signInOnPage(page, `${url}/desk/region`, 'admin', accounts.find(({ username }) => username === 'admin')!.password)
  })
  afterAll(async () => {
    await browser?.close()
    await region?.close()
  })

  it('names who waits, for what and why, tries again when pressed, and empties by itself', async () => { // AGT-07
    await page.getByText('所有请求均已得到平台应答').waitFor()
    await region.hub.stop()
    const wang = await region.signIn('hospital-a', 'wang')
    const taskId = await submit(wang, { exam, mode: 'pull' })
    expect((await wang.get<ConsultRow>(`/api/consults/${taskId}`)).state).toBe('queued')
    const row = page.getByTestId('waiting-table').locator('tr', { hasText: '王建华' })
    await row.waitFor()
    expect(await row.textContent()).toContain('提交会诊')
    await page.getByTestId('line-failures').waitFor()
    await eventually('the reason is shown', async () => (await row.locator('.bad').allTextContents()).length > 0)
    await picture(page, 'desk-waiting')
    await row.getByTestId('retry-waiting').click()
    await page.getByText('已重新尝试').first().waitFor()
    await page.getByTestId('try-now').click()

    await region.hub.start()
    await untilState(wang, taskId, 'submitted')
    await page.getByText('所有请求均已得到平台应答').waitFor()
    await eventually('the line is well again', async () => (await page.getByTestId('line-failures').count()) === 0)
    expect(errors).toEqual([])
  })

  it('is seen from the platform, too: which hospital has not answered, since when, how often tried and why', async () => { // AGT-07
    const { page: console, errors: told } = await openPerson(browser)
    const { consoleUrl, accounts } = region.file.hub
    await signInOnPage(console, consoleUrl, 'region', accounts.find(({ username }) => username === 'region')!.password)
    await console.getByTestId('menu-waiting').click()
    await console.getByText('医院已应答所有消息').waitFor()
    await picture(console, 'console-waiting-none')
    await region.node('hospital-c').stop()
    await submit(await region.signIn('hospital-a', 'wang'), { exam, mode: 'pull' })
    const row = console.getByTestId('waiting-table').locator('tbody tr', { hasText: '澄江省立医院' }).first()
    await row.filter({ hasText: '会诊进展' }).waitFor()
    await eventually('it says that the hospital is away', async () => (await row.locator('.bad').allTextContents()).length > 0)
    expect(await row.textContent()).toContain('已交给消息服务，等待医院接收')
    await picture(console, 'console-waiting')
    await row.getByTestId('retry-waiting').click()
    await console.getByText('已重新尝试').first().waitFor()
    await console.getByTestId('menu-overview').click()
    await eventually('the overview counts it', async () => Number(await console.getByTestId('card-waiting').locator('strong').textContent()) > 0)
    await picture(console, 'console-overview-waiting')
    await console.setViewportSize(phone)
    await console.getByTestId('card-waiting').click()
    await row.waitFor()
    await picture(console, 'console-waiting-phone')
    expect(await console.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBe(0)
    await region.node('hospital-c').start()
    await console.getByText('医院已应答所有消息').waitFor()
    expect(told).toEqual([])
  })
})
