import { TOTP } from 'otpauth'
import { createCsr, generateSm2KeyPair } from 'pki'
import type { Browser, Page } from 'playwright-core'
import { PartyId, RegionId, type ExamRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { sendStudy } from '../support/story.ts'

/** Identity, access and audit as people click them, in one hospital. */
describe('a new doctor, a rule, an emergency and the audit of it all', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let browser: Browser
  let exam: ExamRow
  let desk: string
  let admin: Page
  let security: Page
  let doctor: Page
  const errors: string[][] = []
  let initialPassword = ''
  let secret = ''
  const password = 'Yunxi-Desk-2026'

  const open = async () => {
    const person = await openPerson(browser)
    errors.push(person.errors)
    return person.page
  }
  const enter = async (username: string) => {
    const page = await open()
    await signInOnPage(page, `${desk}/desk/`, username, region.hospital('hospital-a').accounts.find((account) => account.username === username)!.password)
    return page
  }
  /** Chooses in a select of Element Plus: it opens over the page. */
  const choose = async (page: Page, testId: string, text: string) => {
    await page.getByTestId(testId).click()
    await page.locator('.el-select-dropdown__item:visible', { hasText: text }).first().click()
  }

  beforeAll(async () => {
    region = await startTestRegion({ hospitals: ['hospital-a'] })
    exam = await sendStudy(region, 'hospital-a', 'mr-overlay', 1)
    // Security keys work at names only, never at numbers.
    desk = region.hospital('hospital-a').url.replace('127.0.0.1', 'localhost')
    browser = await launchBrowser()
    admin = await enter('admin')
    security = await enter('security')
  })
  afterAll(async () => {
    await browser?.close()
    await region?.close()
  })

  it('makes an account that asks for a role, and the security administrator gives it with its scope', async () => { // SEC-13, SEC-01
    await admin.goto(`${desk}/desk/security/people`)
    await admin.getByTestId('person-add').click()
    await admin.getByTestId('person-username').fill('zhou')
    await admin.getByTestId('person-name').fill('周明')
    await admin.getByTestId('assignment-add').click()
    await choose(admin, 'assignment-role', '影像医生')
    await admin.getByTestId('person-save').click()
    initialPassword = await eventually('the initial password is shown once', async () => (await admin.getByTestId('initial-password').inputValue()) || undefined)
    await admin.getByTestId('initial-close').click()
    await admin.getByTestId('person-table').getByText('周明').waitFor()
    await picture(admin, 'security-people')

    await security.goto(`${desk}/desk/security/people`)
    await security.getByTestId('give-zhou').click()
    await choose(security, 'scope-modalities', 'MR')
    await security.keyboard.press('Escape')
    await picture(security, 'security-roles-of-person')
    await security.getByTestId('roles-save').click()
    await eventually('the role is given', async () => (await security.getByTestId('person-table').locator('tr', { hasText: '周明' }).textContent())?.includes('检查类型：MR'))
  })

  it('lets the doctor in only with a new password, and shows what the role allows', async () => { // SEC-07
    doctor = await open()
    await doctor.goto(`${desk}/desk/`)
    await doctor.getByTestId('username').fill('zhou')
    await doctor.getByTestId('password').fill(initialPassword)
    await doctor.getByTestId('sign-in').click()
    await doctor.getByTestId('password-current').fill(initialPassword)
    await doctor.getByTestId('password-next').fill('short')
    expect(await doctor.getByTestId('password-save').isEnabled()).toBe(false)
    await picture(doctor, 'sign-in-change-password')
    await doctor.getByTestId('password-next').fill(password)
    await doctor.getByTestId('password-again').fill(password)
    await doctor.getByTestId('password-save').click()
    await doctor.getByTestId('exam-table').getByText(exam.accessionNumber).waitFor()
    expect(await doctor.getByTestId('menu-security').count()).toBe(0)
    expect(await doctor.getByTestId('menu-dicomNodes').count()).toBe(0)
  })

  it('enrols an authenticator app and a security key, and asks for one of them from then on', async () => { // SEC-07
    await doctor.getByTestId('own-account').click()
    await doctor.getByTestId('add-totp').click()
    await doctor.getByTestId('factor-password').fill(password)
    await doctor.getByTestId('factor-begin').click()
    secret = (await doctor.getByTestId('factor-secret').textContent())!.replaceAll(' ', '')
    await picture(doctor, 'account-totp')
    const app = new TOTP({ secret })
    await doctor.getByTestId('factor-code').fill(app.generate())
    await doctor.getByTestId('factor-finish').click()
    await doctor.getByTestId('recovery-codes').waitFor()
    expect(await doctor.getByTestId('recovery-codes').locator('li').count()).toBeGreaterThan(4)
    const recovery = await doctor.getByTestId('recovery-codes').locator('li').first().textContent()
    await doctor.getByTestId('recovery-kept').click()

    const key = await doctor.context().newCDPSession(doctor)
    await key.send('WebAuthn.enable')
    await key.send('WebAuthn.addVirtualAuthenticator', { options: { protocol: 'ctap2', transport: 'usb', hasResidentKey: false, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true } })
    await doctor.getByTestId('add-webauthn').click()
    await doctor.getByTestId('factor-begin').click()
    await eventually('both factors are listed', async () => (await doctor.getByTestId('factor').count()) === 2)
    await picture(doctor, 'account-own')

    await doctor.getByTestId('sign-out').click()
    await doctor.getByTestId('username').fill('zhou')
    await doctor.getByTestId('password').fill(password)
    await doctor.getByTestId('sign-in').click()
    await doctor.getByTestId('second-factor-recovery').waitFor()
    await picture(doctor, 'sign-in-second-factor')
    await doctor.getByTestId('second-factor-webauthn').click()
    await doctor.getByTestId('second-factor-verify').click()
    await doctor.getByTestId('sign-out').waitFor()

    await doctor.getByTestId('sign-out').click()
    await doctor.getByTestId('username').fill('zhou')
    await doctor.getByTestId('password').fill(password)
    await doctor.getByTestId('sign-in').click()
    await doctor.getByTestId('second-factor-recovery').click()
    await doctor.getByTestId('second-factor-code').fill(recovery!.trim())
    await doctor.getByTestId('second-factor-verify').click()
    await doctor.getByTestId('sign-out').waitFor()
  })

  it('opens a patient in an emergency, which the security administrator hears of and reviews', async () => { // SEC-03
    await doctor.goto(`${desk}/desk/exams`)
    await doctor.getByTestId('break-glass').click()
    await doctor.getByTestId('glass-number').fill(exam.accessionNumber)
    await doctor.getByTestId('glass-reason').fill('急诊抢救，需要对比既往影像')
    await picture(doctor, 'break-glass-ask')
    await doctor.getByTestId('glass-open').click()
    await security.getByText('周明 发起了紧急调阅').waitFor()
    await security.getByTestId('unreviewed').waitFor()
    await security.goto(`${desk}/desk/security/break-glass`)
    await security.getByTestId('glass-review').click()
    await security.getByTestId('verdict-justified').click()
    await security.getByTestId('glass-note').fill('抢救属实')
    await security.getByTestId('glass-review-save').click()
    await security.getByTestId('glass-table').getByText('已复核').waitFor()
    await picture(security, 'security-break-glass')
  })

  it('takes the exam from the list at the next request once a rule denies it, and says why', async () => { // SEC-03
    await security.goto(`${desk}/desk/security/rules`)
    await security.getByTestId('rule-add').click()
    await choose(security, 'subject-id', '周明')
    await choose(security, 'object-kind', '检查')
    await choose(security, 'object-kind', '患者')
    await security.getByTestId('object-text').fill(exam.patientId)
    await security.getByTestId('rule-reason').fill('患者本人要求')
    expect(await security.getByTestId('rule-preview').textContent()).toContain('不允许 周明')
    await picture(security, 'security-rule-form')
    await security.getByTestId('rule-save').click()
    await security.getByTestId('rule-table').getByText('患者本人要求').waitFor()
    await picture(security, 'security-rules')
    await doctor.goto(`${desk}/desk/exams`)
    await doctor.getByText('没有符合条件的检查').waitFor()

    await security.goto(`${desk}/desk/security/explain`)
    await choose(security, 'explain-who', '周明')
    await security.getByTestId('explain-exam').fill(exam.accessionNumber)
    await security.getByTestId('explain-ask').click()
    await security.getByTestId('explanation').getByText('患者本人要求').waitFor()
    await picture(security, 'security-explain')
  })

  it('finds it all in the audit trail, field by field, and verifies the chain', async () => { // SEC-08
    const auditor = await enter('audit')
    await auditor.goto(`${desk}/desk/security/audit`)
    const table = auditor.getByTestId('record-table')
    const wanted = ['复核紧急调阅', '变更访问规则', '变更账号角色']
    await auditor.getByTestId('audit-action').click()
    for (const said of wanted) await auditor.locator('.el-select-dropdown__item:visible', { hasText: said }).first().click()
    await auditor.keyboard.press('Escape')
    for (const said of wanted) await table.locator('tr', { hasText: said }).first().waitFor()
    await table.locator('tr', { hasText: '变更账号角色' }).first().click()
    await auditor.getByTestId('record-changes').waitFor()
    await picture(auditor, 'audit-record')
    await auditor.keyboard.press('Escape')
    await auditor.getByRole('tab', { name: '谁看过这位患者' }).click()
    await auditor.getByTestId('audit-patient').fill(exam.patientId)
    await auditor.getByTestId('audit-patient-look').click()
    await auditor.getByText('周明').first().waitFor()
    await auditor.getByRole('tab', { name: '完整性校验' }).click()
    await auditor.getByTestId('verify-start').click()
    await auditor.getByTestId('verification-whole').first().waitFor()
    await picture(auditor, 'audit-verified')
  })

  it('issues a certificate to a service of the region, renews and revokes it in the certificate centre', async () => { // SEC-11
    const page = await open()
    const { consoleUrl, accounts } = region.file.hub
    await signInOnPage(page, `${consoleUrl}security/certificates`, 'security', accounts.find(({ username }) => username === 'security')!.password)
    const table = page.getByTestId('certificate-table')
    const named = table.locator('tbody tr', { hasText: 'HIS 接口' })
    const request = () => createCsr({ party: PartyId.parse('his'), organisation: 'HIS', regionId: RegionId.parse(region.plan.regionId), privateKeyPem: generateSm2KeyPair().privateKeyPem })
    await page.getByTestId('certificate-issue').click()
    await page.getByTestId('certificate-name').fill('HIS 接口')
    await page.getByTestId('certificate-csr').fill('-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----')
    await page.getByTestId('certificate-save').click()
    expect(await page.locator('.el-form-item__error:visible').textContent()).toMatch(/[一-龥]/)
    await page.getByTestId('certificate-csr').fill(request())
    await picture(page, 'console-certificate-issue')
    await page.getByTestId('certificate-save').click()
    expect(await page.getByTestId('certificate-chain').inputValue()).toMatch(/BEGIN CERTIFICATE/)
    await picture(page, 'console-certificate-chain')
    await page.keyboard.press('Escape')
    await named.getByText('有效', { exact: true }).waitFor()
    await named.getByRole('button', { name: '更新' }).click()
    await page.getByTestId('certificate-csr').fill(request())
    await page.getByTestId('certificate-save').click()
    await page.getByTestId('certificate-chain').waitFor()
    await page.keyboard.press('Escape')
    await eventually('both are listed', async () => (await named.count()) === 2)
    await named.first().getByRole('button', { name: '吊销' }).click()
    await page.getByTestId('revoke-reason').fill('接口下线')
    await picture(page, 'console-certificate-revoke')
    await page.getByTestId('revoke-save').click()
    await named.getByText('已吊销').waitFor()
    await picture(page, 'console-certificates')
  })

  it('ends the session of a disabled account at once', async () => { // SEC-13
    await admin.goto(`${desk}/desk/security/people`)
    await admin.getByTestId('more-zhou').click()
    await admin.getByTestId('disable-zhou').click()
    await admin.locator('.el-message-box input').fill('调离')
    await admin.locator('.el-message-box').getByRole('button', { name: '停用' }).click()
    await admin.getByTestId('person-table').getByText('已停用').waitFor()
    await doctor.getByTestId('exam-search').fill('x')
    await doctor.getByTestId('sign-in').waitFor()
    // Refusals that a page must expect are no errors of the page: a rule, a session that ended, and with it its stream of live events.
    expect(errors.flat().filter((line) => !/status of 40[013]|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(line))).toEqual([])
  })
})
