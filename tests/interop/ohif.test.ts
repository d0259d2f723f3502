import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unpackFixtures } from '../../scripts/fixtures.mjs'
import { ensureOhif } from '../../scripts/ohif.mjs'
import { launchBrowser, picture } from '../support/browser.ts'
import { storescu } from '../support/dcmtk.ts'
import { serveOhif } from '../support/ohif-server.ts'
import { eventually, startTestRegion } from '../support/region.ts'

const ct = '1.3.6.1.4.1.14519.5.2.1.6279.6001.265704884949271879044145982159'
const echo = '1.2.840.113857.1626.160635.1727.151815'

/** Another maker's viewer, the unchanged OHIF of npm, reads a hospital's archive through our DICOMweb with a doctor's token. */
describe('OHIF on the DICOMweb of a node', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let ohif: Awaited<ReturnType<typeof serveOhif>>
  let browser: Browser
  let page: Page
  const failures: string[] = []
  const asked: string[] = []

  beforeAll(async () => {
    const [pages, folder] = [await ensureOhif(), unpackFixtures('ct-chest', 'us-echo', 'dx-small')]
    region = await startTestRegion({ hospitals: ['hospital-a'] })
    const { dicom, url, accounts } = region.hospital('hospital-a')
    await storescu(dicom, join(folder, 'ct-chest'))
    await storescu(dicom, join(folder, 'us-echo'), ['-xy'])
    await storescu(dicom, join(folder, 'dx-small'))
    const { token } = (await (
      await fetch(`${url}/api/sessions`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'wang', password: accounts[0]!.password }) })
    ).json()) as { token: string }
    ohif = await serveOhif({ pages, nodeUrl: url, token })
    browser = await launchBrowser()
    page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage()
    page.on('response', (response) => {
      const { pathname, search } = new URL(response.url())
      if (pathname.startsWith('/dicom-web')) asked.push(pathname)
      if (response.status() >= 400) failures.push(`${response.status()} ${pathname}${search}`)
    })
    page.on('requestfailed', (request) => {
      // Leaving a page ends what it still wanted; other hosts are none of ours.
      const isOurs = request.url().startsWith(ohif.url) && request.failure()?.errorText !== 'net::ERR_ABORTED'
      if (isOurs) failures.push(`${request.failure()?.errorText} ${request.url()}`)
    })
    page.on('pageerror', (error) => failures.push(`page: ${error.message}`))
    page.on('console', (message) => message.type() === 'error' && failures.push(`console: ${message.text()}`))
  }, 240_000)
  afterAll(async () => {
    await browser?.close()
    await ohif?.close()
    await region?.close()
  })

  /** Grey levels of the largest canvas at a grid of places, once something is drawn. */
  const levels = () =>
    page.evaluate(() => {
      const canvas = [...document.querySelectorAll<HTMLCanvasElement>('.cornerstone-canvas')].sort((a, b) => b.width * b.height - a.width * a.height)[0]
      const context = canvas?.getContext('2d')
      if (!canvas || !context) return []
      const places = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
      return places.flatMap((x) => places.map((y) => context.getImageData(Math.floor(canvas.width * x), Math.floor(canvas.height * y), 1, 1).data[0] ?? 0))
    })
  const drawn = (what: string) => eventually(what, async () => new Set(await levels()).size > 8, 90_000)

  it('lists the studies of the hospital and finds one by patient ID', async () => { // ARC-04
    await page.goto(`${ohif.url}/`)
    const rows = page.locator('[data-cy=study-list-results] tr, [data-cy^="studyRow"]')
    await eventually('three studies are listed', async () => /LIDC-IDRI-0314/.test((await page.textContent('body')) ?? '') && /HP_EXAMPLE/.test((await page.textContent('body')) ?? ''), 90_000)
    void rows
    await picture(page, 'ohif-list')
  })

  it('opens the CT: pixels, texts from the header, the next image on the wheel', async () => { // FED-24, VWR-01
    await page.goto(`${ohif.url}/viewer?StudyInstanceUIDs=${ct}`)
    await drawn('the CT is drawn')
    await eventually('the texts of the header', async () => /75\)?/.test((await page.textContent('body')) ?? ''), 60_000)
    await picture(page, 'ohif-ct')
  })

  it('opens an ultrasound clip and a radiograph that is stored inverted', async () => {
    await page.goto(`${ohif.url}/viewer?StudyInstanceUIDs=${echo}`)
    await drawn('the clip is drawn')
    await picture(page, 'ohif-us')
  })

  it('has met no refusal and no broken answer', () => {
    expect(failures).toEqual([])
    expect(asked.length).toBeGreaterThan(10)
  })
})
