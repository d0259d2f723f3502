import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import type { ConsultRow, ExamRow } from 'specs'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { sendStudy, submit, untilState } from '../support/story.ts'

/** AGT-07 as the hospital's administrator sees it. */
describe('the page of the region while the platform does not answer', () => {
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
})
