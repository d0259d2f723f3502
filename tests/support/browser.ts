import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { onPath, root } from '../../scripts/run.mjs'

/** Debian's Chromium with software WebGL; without the background flags it looks for hosts that are not there. */
export async function launchBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM'] ?? onPath('chromium') ?? onPath('chromium-browser') ?? onPath('google-chrome')
  if (!executablePath) throw new Error('chromium is missing: apt-get install chromium')
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
}

export const desktop = { width: 1440, height: 900 }
export const phone = { width: 390, height: 844 }

/** A person at a desk (or with a phone): own cookies, Chinese page, console errors collected. */
export async function openPerson(browser: Browser, options: { phone?: boolean } = {}): Promise<{ context: BrowserContext; page: Page; errors: string[] }> {
  const context = await browser.newContext({ viewport: options.phone ? phone : desktop, hasTouch: options.phone ?? false, isMobile: options.phone ?? false, deviceScaleFactor: options.phone ? 2 : 1, locale: 'zh-CN', timezoneId: 'Asia/Shanghai' })
  const page = await context.newPage()
  return { context, page, errors: collectErrors(page) }
}

export function collectErrors(page: Page): string[] {
  const errors: string[] = []
  page.on('pageerror', (error) => errors.push(`${page.url()}: ${error.message}`))
  page.on('console', (message) => {
    // A 401 before signing in is how a page learns that nobody is signed in.
    if (message.type() === 'error' && !/401|favicon/.test(message.text())) errors.push(`${page.url()}: ${message.text()}`)
  })
  return errors
}

export async function signInOnPage(page: Page, url: string, username: string, password: string): Promise<void> {
  await page.goto(url)
  await page.getByTestId('username').fill(username)
  await page.getByTestId('password').fill(password)
  await page.getByTestId('sign-in').click()
  await page.getByTestId('sign-out').waitFor()
}

/** Pictures are kept only when somebody wants to look at them: LIANPIAN_SCREENSHOTS names the folder. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env['LIANPIAN_SCREENSHOTS']
  if (!folder) return
  const target = folder.startsWith('/') ? folder : join(root, folder)
  mkdirSync(target, { recursive: true })
  // Until what slides and fades has arrived.
  await page.waitForTimeout(600)
  await page.screenshot({ path: join(target, `${name}.png`), animations: 'disabled' })
}
