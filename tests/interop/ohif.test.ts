import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unpackFixtures } from '../../scripts/fixtures.mjs'
import { ensureOhif } from '../../scripts/ohif.mjs'
import { launchBrowser, picture } from '../support/browser.ts'
import { storescu } from '../support/dcmtk.ts'
import { serveOhif } from '../support/ohif-server.ts'
import { eventually, startTestRegion } from '../support/region.ts'

/** As its makers publish it for pages. */
const dicomwebClient = createRequire(import.meta.url).resolve('dicomweb-client')
const ct = '1.3.6.1.4.1.14519.5.2.1.6279.6001.265704884949271879044145982159'
const echo = '1.2.840.113857.1626.160635.1727.151815'
const dx = '1.2.826.0.1.3680043.8.498.54401662452014863547255413372440461885'

interface ClientAnswers {
  readonly studies: number
  readonly instances: number
  readonly metadata: number
  readonly prefix: string
  readonly frame: string
  readonly inFile: string
  readonly png: string
  readonly afterStoring: number
}

/** Another maker's viewer, the unchanged OHIF of npm, reads a hospital's archive through our DICOMweb with a doctor's token. */
describe('OHIF on the DICOMweb of a node', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let ohif: Awaited<ReturnType<typeof serveOhif>>
  let browser: Browser
  let page: Page
  let token: string
  const failures: string[] = []
  const asked: string[] = []

  beforeAll(async () => {
    const [pages, folder] = [await ensureOhif(), unpackFixtures('ct-chest', 'us-echo', 'dx-small')]
    region = await startTestRegion({ hospitals: ['hospital-a'] })
    const { dicom, url, accounts } = region.hospital('hospital-a')
    await storescu(dicom, join(folder, 'ct-chest'))
    await storescu(dicom, join(folder, 'us-echo'), ['-xy'])
    await storescu(dicom, join(folder, 'dx-small'))
    ;({ token } = (await (
      await fetch(`${url}/api/sessions`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'wang', password: accounts[0]!.password }) })
    ).json()) as { token: string })
    ohif = await serveOhif({ pages, nodeUrl: url, token })
    browser = await launchBrowser()
    page = await (await browser.newContext({ viewport: { width: 1440, height: 900 } })).newPage()
    page.on('response', (response) => {
      const { pathname, search } = new URL(response.url())
      if (pathname.startsWith('/dicom-web')) asked.push(pathname + search)
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
    page.evaluate<number[]>(`(() => {
      const canvas = [...document.querySelectorAll('.cornerstone-canvas')].sort((a, b) => b.width * b.height - a.width * a.height)[0]
      const context = canvas?.getContext('2d')
      if (!canvas || !context) return []
      const places = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
      return places.flatMap((x) => places.map((y) => context.getImageData(Math.floor(canvas.width * x), Math.floor(canvas.height * y), 1, 1).data[0] ?? 0))
    })()`)
  const drawn = (what: string) => eventually(what, async () => new Set(await levels()).size > 8, 90_000)

  /** The node draws OHIF's thumbnails: as many pictures as the study has series. */
  const thumbnails = (count: number) =>
    eventually('thumbnails of the node', async () => {
      const widths = await page.evaluate<number[]>(`[...document.querySelectorAll('[data-cy=study-browser-thumbnail] img')].map((image) => image.naturalWidth)`)
      return widths.filter((width) => width > 0).length >= count
    }, 60_000)
  const bodyText = async () => (await page.locator('body').innerText()).replaceAll(/\s+/g, ' ')
  const says = (what: string, words: RegExp) =>
    eventually(what, async () => words.test(await bodyText()), 40_000).catch(async (error: unknown) => {
      throw new Error(`${what}, but: ${await bodyText()}`, { cause: error })
    })

  it('lists the studies of the hospital and finds one by part of the name', async () => { // ARC-04
    await page.goto(`${ohif.url}/`)
    // SEC-06: a person's list shows names masked, also in somebody else's viewer.
    await says('all studies', /Dog, A\*+.*Pediatric, E\*+.*CT/)
    await picture(page, 'ohif-list')
    await page.locator('table input').first().fill('pediatr')
    await eventually('only the one that was asked for', async () => /^(?!.*Dog).*Pediatric, E\*+/.test(await bodyText()))
  }, 150_000)

  it('opens the CT: pixels, window and position from the header, the next image on the wheel', async () => { // FED-24, VWR-01
    await page.goto(`${ohif.url}/viewer?StudyInstanceUIDs=${ct}`)
    await drawn('the CT is drawn')
    await says('the window of the header', /W: ?2000 ?L: ?-450/)
    await says('the position', /\b1\/75\b/)
    const tour = page.getByText('Skip all')
    if (await tour.waitFor({ timeout: 5_000 }).then(() => true, () => false)) await tour.click()
    const before = JSON.stringify(await levels())
    await page.mouse.move(800, 450)
    await page.mouse.wheel(0, 100)
    await says('the second image', /\b2\/75\b/)
    await eventually('other pixels', async () => JSON.stringify(await levels()) !== before)
    await thumbnails(1)
    await picture(page, 'ohif-ct')
  }, 150_000)

  it('opens clips in colour and a radiograph that is stored inverted', async () => {
    await page.goto(`${ohif.url}/viewer?StudyInstanceUIDs=${echo}`)
    await drawn('the clip is drawn')
    await says('position in the clip', /\/34/)
    await thumbnails(2)
    await page.goto(`${ohif.url}/viewer?StudyInstanceUIDs=${dx}`)
    await drawn('the radiograph is drawn')
    await thumbnails(1)
    await picture(page, 'ohif-dx')
  }, 150_000)

  it('answers dicomweb-client: searches, metadata, files, frames and pictures, and stores what it sends', async () => { // FED-24, ARC-16, ARC-26
    // OHIF's page brings its own copy inside a bundle: a bare page of the same origin runs the published one.
    const bare = await (await browser.newContext()).newPage()
    await bare.route(`${ohif.url}/bare`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>dicomweb-client</title>' }))
    await bare.goto(`${ohif.url}/bare`)
    await bare.addScriptTag({ path: dicomwebClient })
    const answer = await bare.evaluate<ClientAnswers>(`(async () => {
      const client = new DICOMwebClient.api.DICOMwebClient({ url: ${JSON.stringify(`${ohif.url}/dicom-web`)}, headers: { Authorization: ${JSON.stringify(`Bearer ${token}`)} } })
      const studyInstanceUID = ${JSON.stringify(ct)}
      const studies = await client.searchForStudies({ queryParams: { StudyInstanceUID: studyInstanceUID } })
      const [series] = await client.searchForSeries({ studyInstanceUID })
      const seriesInstanceUID = series['0020000E'].Value[0]
      const instances = await client.searchForInstances({ studyInstanceUID, seriesInstanceUID })
      const sopInstanceUID = instances[0]['00080018'].Value[0]
      const at = { studyInstanceUID, seriesInstanceUID, sopInstanceUID }
      const metadata = await client.retrieveSeriesMetadata({ studyInstanceUID, seriesInstanceUID })
      const file = await client.retrieveInstance(at)
      const [frame] = await client.retrieveInstanceFrames({ ...at, frameNumbers: [1] })
      const [picture] = [await client.retrieveInstanceRendered({ ...at, mediaTypes: [{ mediaType: 'image/png' }] })].flat()
      const frameDigest = await crypto.subtle.digest('SHA-256', frame)
      const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
      const last = new Uint8Array(file).slice(-frame.byteLength)
      await client.storeInstances({ datasets: [file] })
      const [again] = await client.searchForStudies({ queryParams: { StudyInstanceUID: studyInstanceUID } })
      return {
        studies: studies.length, instances: instances.length, metadata: metadata.length,
        prefix: String.fromCharCode(...new Uint8Array(file).slice(128, 132)),
        frame: hex(frameDigest), inFile: hex(await crypto.subtle.digest('SHA-256', last)), png: hex(new Uint8Array(picture).slice(0, 4)),
        afterStoring: again['00201208'].Value[0],
      }
    })()`)
    await bare.context().close()
    expect(answer).toMatchObject({ studies: 1, instances: 75, metadata: 75, prefix: 'DICM', png: '89504e47', afterStoring: 75 })
    expect(answer.frame).toBe(answer.inFile) // the frame's bytes are those of the file
  }, 120_000)

  it('has met no refusal and no broken answer', () => {
    expect(failures).toEqual([])
    expect(asked.filter((address) => address.includes('/frames/')).length).toBeGreaterThan(5)
  })
})
