import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import { sendDemoStudies } from '../../scripts/region/demo-data.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually, startTestRegion } from '../support/region.ts'

/** The other ways of a consultation, by clicking: pull, the data centre and the pool, and every way back. */
describe('what may become of a consultation, at the hands of five people', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let browser: Browser
  /** wang asks at A; li answers at B, chen and zhao at C; watcher looks on at the region's console. */
  let wang: Page, li: Page, chen: Page, zhao: Page, watcher: Page
  const errors: string[][] = []

  async function person(url: string, username: string, password: string, isDeaf = false): Promise<Page> {
    const { page, errors: own } = await openPerson(browser)
    // Somebody whose page has not heard the news yet: the colleague is quicker, and the page cannot know.
    if (isDeaf) await page.route('**/api/events', (route) => route.abort())
    else errors.push(own)
    await signInOnPage(page, url, username, password)
    await page.evaluate(() => Object.assign(window, { isSamePage: true }))
    return page
  }
  const at = (hospitalId: string, path: string) => `${region.hospital(hospitalId).url}/desk${path}`
  const passwordOf = (hospitalId: string) => region.hospital(hospitalId).accounts[0]!.password

  beforeAll(async () => {
    region = await startTestRegion()
    await sendDemoStudies(region, () => {})
    browser = await launchBrowser()
    ;[wang, li, chen, zhao, watcher] = await Promise.all([
      person(at('hospital-a', '/'), 'wang', passwordOf('hospital-a')),
      person(at('hospital-b', '/consults'), 'li', passwordOf('hospital-b')),
      person(at('hospital-c', '/consults'), 'chen', passwordOf('hospital-c')),
      person(at('hospital-c', '/consults'), 'zhao', passwordOf('hospital-c'), true),
      person(`${region.file.hub.consoleUrl}tasks`, 'region', region.file.hub.accounts[0]!.password),
    ])
  })
  afterAll(async () => {
    await browser?.close()
    await region?.close()
  })

  const go = (page: Page, menu: string) => page.getByTestId(`menu-${menu}`).click()
  const stateOn = (page: Page, state: string) => page.getByTestId('consult-panel').and(page.locator(`[data-state="${state}"]`)).waitFor()
  const rowOf = (page: Page, patient: string) => page.getByTestId('consult-table').locator('tr', { hasText: patient })
  const taskOnConsole = (state: string) => watcher.getByTestId('task-table').locator(`tbody tr:first-child [data-state="${state}"]`).waitFor()
  const step = (page: Page, type: string) => page.getByTestId('timeline').locator(`[data-step="${type}"]`)

  async function submit(patient: string, question: string, choose: (page: Page) => Promise<void>): Promise<void> {
    await go(wang, 'exams')
    await wang.getByTestId('exam-table').locator('tr', { hasText: patient }).getByRole('button', { name: '会诊' }).click()
    await choose(wang)
    await wang.getByTestId('consult-question').fill(question)
    await wang.getByTestId('consult-submit').click()
    await stateOn(wang, 'submitted')
  }
  async function chooseHospital(page: Page, name: string): Promise<void> {
    await page.getByTestId('target-select').click()
    await page.locator('.el-select-dropdown__item', { hasText: name }).locator('visible=true').click()
  }
  async function giveReason(page: Page, button: string, reason: string): Promise<void> {
    await page.getByTestId(button).click()
    await page.locator('.el-message-box input').fill(reason)
    await page.locator('.el-message-box__btns .el-button--primary').click()
  }

  it('pull: the images stay with their hospital until the expert looks, and come as they are looked at', async () => { // CON-11, CON-12
    await submit('张*兰', '右肺门旁占位性质？', async (page) => {
      await chooseHospital(page, '澄江省立医院')
      await page.getByTestId('mode-pull').click()
    })
    await rowOf(chen, '张*兰').waitFor()
    expect(await rowOf(chen, '张*兰').textContent()).toContain('查询')
    await taskOnConsole('submitted')
    await rowOf(chen, '张*兰').click()
    await chen.getByTestId('exam-source').and(chen.locator('[data-source="live"]')).waitFor()
    expect(await chen.getByTestId('images-progress').count()).toBe(0)
    await chen.getByTestId('claim').click()
    await stateOn(wang, 'accepted')
    await taskOnConsole('accepted')
    const [viewer] = await Promise.all([chen.context().waitForEvent('page'), chen.getByTestId('read-case').click()])
    await eventually('the first image has come over the line', () => viewer.evaluate<boolean>('window.__lianpian_viewer?.viewports[0]?.shownIndex !== undefined'), 90_000)
    await stateOn(wang, 'started')
    await taskOnConsole('started')
    await viewer.close()
  })

  it('release: the holder gives it back with a reason, and it is open again everywhere', async () => { // CON-18
    await giveReason(chen, 'release', '需胸部组专家阅片')
    await stateOn(chen, 'submitted')
    await stateOn(wang, 'submitted')
    expect(await step(wang, 'released').textContent()).toContain('需胸部组专家阅片')
    await taskOnConsole('submitted')
    await go(chen, 'consults')
    await rowOf(chen, '张*兰').waitFor()
  })

  it('decline: the asked hospital refuses with a reason that the requester reads', async () => { // CON-18
    await rowOf(chen, '张*兰').click()
    await chen.getByTestId('decline').click()
    await chen.locator('.el-message-box__btns .el-button--primary').click()
    await chen.locator('.el-message-box__errormsg', { hasText: '请填写原因' }).waitFor()
    await picture(chen, 'desk-decline')
    await chen.locator('.el-message-box input').fill('缺少增强序列，请补充后再申请')
    await chen.locator('.el-message-box__btns .el-button--primary').click()
    await stateOn(wang, 'declined')
    expect(await step(wang, 'declined').textContent()).toContain('缺少增强序列，请补充后再申请')
    await picture(wang, 'desk-declined')
    await taskOnConsole('declined')
    await go(chen, 'consults')
    await eventually('it left the list of the hospital that declined', async () => (await rowOf(chen, '张*兰').count()) === 0)
  })

  it('pool through the data centre: two experts press at once, one has it, the other reads who', async () => { // CON-10, CON-22, COR-15
    await submit('刘*芳', '肝内占位性质？', async (page) => page.getByTestId('target-pool').click().then(() => page.getByTestId('images-data-centre').click()))
    await step(wang, 'images-arrived').waitFor()
    for (const page of [li, chen, zhao]) {
      if (page === zhao) await page.reload() // hears nothing by itself
      await rowOf(page, '刘*芳').click()
      await page.getByTestId('claim').waitFor()
    }
    await Promise.all([li, chen].map((page) => page.getByTestId('claim').click({ timeout: 3_000 }).catch(() => undefined))) // gone if the other was much quicker
    const winner = await eventually('one of the two has it', async () => ((await li.getByTestId('read-case').isVisible()) ? li : (await chen.getByTestId('read-case').isVisible()) ? chen : undefined))
    const [loser, sentence] = winner === li ? [chen, /青岚市第一医院 李文静 已于 [\d:]+ 接收，本院不能再打开病历和影像/] : [li, /澄江省立医院 陈思远 已于 [\d:]+ 接收，本院不能再打开病历和影像/]
    await loser.getByTestId('held-by').filter({ hasText: sentence }).waitFor()
    for (const button of ['read-case', 'view-images']) expect(await loser.getByTestId(button).count()).toBe(0)
    await eventually('nothing of the patient stays on the screen of who did not get it', async () => !(await loser.locator('main').textContent())?.includes('刘*芳'))
    await picture(loser, 'desk-held-by')
    // Who presses on a page that has not heard of it is told at the button; a colleague of the one who has it may look on.
    const told = winner === li ? sentence : /澄江省立医院 陈思远 已于 [\d:]+ 接收，您只能查看/
    await zhao.getByTestId('claim').click()
    await zhao.locator('.el-message--warning', { hasText: told }).waitFor()
    await zhao.getByTestId('held-by').filter({ hasText: told }).waitFor()
    await eventually('the patient stays only before whoever may look', async () => (await zhao.locator('main').textContent())?.includes('刘*芳') === (winner === chen))
    await picture(zhao, 'desk-claim-late')
    await stateOn(wang, 'accepted')
    await taskOnConsole('accepted')
    // From the data centre, where they lay ready, into the hospital that took the case.
    await winner.getByTestId('images-progress').and(winner.locator('.is-success')).waitFor({ timeout: 60_000 })
  })

  it('cancel: the requester withdraws it, and it disappears before the expert', async () => { // CON-20
    const holder = (await li.getByTestId('read-case').isVisible()) ? li : chen
    await giveReason(wang, 'cancel', '患者已转院')
    await stateOn(wang, 'cancelled')
    await stateOn(holder, 'cancelled')
    expect(await step(holder, 'cancelled').textContent()).toContain('患者已转院')
    expect(await holder.getByTestId('read-case').count()).toBe(0)
    await taskOnConsole('cancelled')
    await go(holder, 'consults')
    await eventually('it left the list', async () => (await rowOf(holder, '刘*芳').count()) === 0)
    await go(wang, 'requests')
    await rowOf(wang, '刘*芳').locator('[data-state="cancelled"]').waitFor()
    await picture(wang, 'desk-requests')
  })

  it('everybody saw all of it on the page they had opened in the beginning, without a fault in the console', async () => { // CON-18
    for (const page of [wang, li, chen, watcher]) expect(await page.evaluate(() => 'isSamePage' in window)).toBe(true)
    // The browser itself notes an answered conflict; that is the answer the slower expert was meant to get.
    expect(errors.flat().filter((error) => !/409 \(Conflict\)/.test(error))).toEqual([])
  })
})
