import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readManifest, unpackFixtures } from '../../scripts/fixtures.mjs'
import { launchBrowser, openPerson, picture } from '../support/browser.ts'
import { sendCopy, storescu } from '../support/dcmtk.ts'
import { drawWithDcmtk, type Picture } from '../support/reference-picture.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { ViewerPage, type ViewportReport } from '../support/viewer-page.ts'

type Point = readonly [number, number]

/** One study, and what a doctor must find in it: numbers read from the headers with dcmdump, not with our own code. */
interface Case {
  what: string
  study: string
  /** Path below fixtures/dicom, and how DCMTK proposes it. */
  send: readonly [path: string, ...options: string[]]
  /** Pictures of the first series and number of thumbnails. */
  count: number
  thumbs: number
  colour?: boolean
  /** A preset to press and the window it must set; colour and radiographs have no Hounsfield windows. */
  preset: readonly [id: string, window?: { center: number; width: number }]
  lengths: readonly { from: Point; to: Point; expected: number; unit: 'mm' | 'px'; says?: string }[]
}

const cases: Case[] = [
  {
    what: 'a CT of the chest',
    study: '1.3.6.1.4.1.14519.5.2.1.6279.6001.265704884949271879044145982159',
    send: ['ct-chest'],
    count: 75,
    thumbs: 1,
    preset: ['lung', { center: -600, width: 1_500 }],
    lengths: [{ from: [150, 256], to: [350, 256], expected: 200 * 0.78125, unit: 'mm' }],
  },
  {
    what: 'an MR of the brain with three series',
    study: '1.3.12.2.1107.5.2.32.35235.30000012041311234827500000019',
    send: ['mr-brain'],
    count: 11,
    thumbs: 3,
    preset: ['full'],
    lengths: [{ from: [60, 96], to: [60, 150], expected: 54 * 1.1458333730698, unit: 'mm' }],
  },
  {
    // Stored inverted (MONOCHROME1); Pixel Spacing is a copy of Imager Pixel Spacing, so millimetres are those of the detector.
    what: 'a radiograph with Imager Pixel Spacing',
    study: '1.2.826.0.1.3680043.8.498.54401662452014863547255413372440461885',
    send: ['dx-small'],
    count: 1,
    thumbs: 1,
    preset: ['soft'],
    lengths: [{ from: [40, 80], to: [160, 80], expected: 120 * 1.2012, unit: 'mm', says: '探测器平面' }],
  },
  {
    // JPEG 2000, no spacing at all, and the window of a CT (-600/1600) in a header whose pixels lie between 31 and 16344.
    what: 'a chest radiograph without spacing and with the window of another image',
    study: '1.3.6.1.4.1.14519.5.2.1.6279.6001.263497132244670536441222906608',
    send: ['dx-chest', '-xv'],
    count: 1,
    thumbs: 1,
    preset: ['full', { center: 8_188, width: 16_314 }],
    lengths: [{ from: [500, 900], to: [1_100, 900], expected: 600, unit: 'px', says: '无标定' }],
  },
  {
    // Two clips in JPEG; pixels are not square (536:670); region 42,4 … 438,353 with 0.02857 cm per column and 0.02286 cm per row.
    what: 'echocardiography clips with a calibrated region',
    study: '1.2.840.113857.1626.160635.1727.151815',
    send: ['us-echo', '-xy'],
    count: 34,
    thumbs: 2,
    colour: true,
    preset: ['full'],
    lengths: [
      { from: [150, 150], to: [300, 150], expected: 150 * 0.2857143, unit: 'mm' },
      { from: [200, 100], to: [200, 300], expected: 200 * 0.2285714, unit: 'mm' },
      { from: [240, 250], to: [240, 400], expected: 150, unit: 'px', says: '不在同一标定区域内' },
    ],
  },
  {
    what: 'a colour ultrasound image without calibration',
    study: '1.3.6.1.4.1.5962.1.2.13.20040826185059.5457',
    send: ['us-rgb/examples_rgb_color.dcm'],
    count: 1,
    thumbs: 1,
    colour: true,
    preset: ['full'],
    lengths: [{ from: [100, 90], to: [200, 90], expected: 100, unit: 'px', says: '无标定' }],
  },
  {
    // 320 × 240 pixels, but the region reaches to 595,414: somebody has scaled the picture. Its millimetres would be wrong.
    what: 'an ultrasound clip whose regions belong to a larger picture',
    study: '1.2.840.114340.3.8251017118051.1.20160503.120850.2171',
    send: ['us-rgb/examples_ybr_color.dcm', '-xy'],
    count: 30,
    thumbs: 1,
    colour: true,
    preset: ['full'],
    lengths: [{ from: [120, 100], to: [200, 100], expected: 80, unit: 'px', says: '无标定' }],
  },
  {
    what: 'an ultrasound image in palette colours',
    study: '1.3.46.670589.14.1000.210.4.199999.20110525182825.1.0',
    send: ['us-palette'],
    count: 1,
    thumbs: 1,
    colour: true,
    preset: ['full'],
    lengths: [{ from: [200, 150], to: [400, 150], expected: 200, unit: 'px', says: '无标定' }],
  },
]

/** The twelve of ARC-03, and three more, of one CT slice. */
const syntaxes = ['1.2.840.10008.1.2', '1.2.840.10008.1.2.1', '1.2.840.10008.1.2.1.99', '1.2.840.10008.1.2.2', '1.2.840.10008.1.2.5', ...['50', '51', '53', '55', '57', '70', '80', '81', '90', '91'].map((last) => `1.2.840.10008.1.2.4.${last}`)]

/**
 * Against DCMTK at the same window: on average one grey level of 255, and 99 of 100 pixels within three. The rest is
 * where windowing after interpolation (the viewer, right) and before it (the judge's picture) part: at hard edges.
 */
const tolerance = { mean: 1, near: 3, shareNear: 0.99 }

/** Studies of every kind in one hospital, sent by DCMTK, opened by its doctor in Chromium, judged by DCMTK. */
describe('reading images of every modality in the browser', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let browser: Browser
  let desk: Page
  let telephone: Page
  let folder: string
  const complaints: string[] = []
  const manifest = new Map(readManifest().map((row) => [row['sop_instance_uid'] ?? '', row]))

  beforeAll(async () => {
    folder = unpackFixtures('ct-chest', 'mr-brain', 'dx-small', 'dx-chest', 'us-echo', 'us-rgb', 'us-palette')
    region = await startTestRegion({ hospitals: ['hospital-a'] })
    const { dicom } = region.hospital('hospital-a')
    for (const { send: [path, ...options] } of cases) await storescu(dicom, join(folder, path), options)
    browser = await launchBrowser()
    desk = await reader()
    telephone = await reader({ phone: true })
  })
  afterAll(async () => {
    await browser?.close()
    await region?.close()
  })

  const addressOf = (study: string) => `${region.hospital('hospital-a').viewerUrl}?study=${study}`

  async function reader(options: { phone?: boolean } = {}): Promise<Page> {
    const { page, errors } = await openPerson(browser, options)
    await page.goto(addressOf(cases[0]!.study))
    await page.getByTestId('username').fill('wang')
    await page.getByTestId('password').fill(region.hospital('hospital-a').accounts[0]!.password)
    await page.getByTestId('sign-in').click()
    await page.getByTestId('viewport-0').waitFor()
    page.on('response', (response) => response.status() >= 400 && complaints.push(`${response.status()} ${response.url()}`))
    page.on('requestfailed', (request) => request.failure()?.errorText !== 'net::ERR_ABORTED' && complaints.push(`${request.failure()?.errorText} ${request.url()}`))
    page.on('close', () => complaints.push(...errors))
    return page
  }

  async function open(page: Page, study: string): Promise<{ viewer: ViewerPage; view: ViewportReport }> {
    await page.goto(addressOf(study))
    const viewer = new ViewerPage(page)
    return { viewer, view: await viewer.settled() }
  }

  /** The picture of the report as DCMTK draws it at the report's window; colour as it is stored. */
  function judge(view: ViewportReport, colour = false): Promise<Picture> {
    const row = manifest.get(view.sopInstanceUid ?? '')
    if (!row) throw new Error(`no fixture has the instance ${view.sopInstanceUid}`)
    return drawWithDcmtk(join(folder, row['path']!), row['transfer_syntax_uid']!, view.frame ?? 1, colour ? undefined : view.window)
  }

  it.each(syntaxes)('shows an image in %s as DCMTK draws it', async (uid) => { // ARC-03, ARC-26
    const row = [...readManifest()].find(({ path, transfer_syntax_uid: syntax }) => path?.startsWith('syntaxes/') && syntax === uid)!
    const sent = await sendCopy(region.hospital('hospital-a').dicom, join(unpackFixtures('syntaxes'), row['path']!), uid)
    const { viewer, view } = await open(desk, sent.study)
    expect(view).toMatchObject({ index: 0, count: 1 })
    // At its own narrow window every edge is a hard one.
    await desk.getByTestId('preset-lung').click()
    const wide = await viewer.until('the preset', ({ window }) => window!.width === 1_500)
    await viewer.agreesWith(uid, await drawWithDcmtk(sent.file, uid, 1, wide.window), tolerance)
  })

  it.each(cases)('shows $what as DCMTK draws it, with every tool', async (one) => { // VWR-01, VWR-03, VWR-04, VWR-08, VWR-21, VWR-36
    const { viewer, view } = await open(desk, one.study)
    expect(view).toMatchObject({ index: 0, count: one.count, inverted: false })
    // A window over colours works on the stored levels (PS3.3 C.11.2.1.2 LINEAR).
    const windowed = ({ center, width }: { center: number; width: number }) => (level: number) =>
      one.colour ? Math.min(255, Math.max(0, ((level - (center - 0.5)) / (width - 1) + 0.5) * 255)) : level
    await viewer.agreesWith(`${one.what}, as opened`, await judge(view, one.colour), tolerance)

    // wheel and drag: exactly one image per notch, nothing beyond the ends
    const { x, y, height } = await viewer.middle()
    await desk.mouse.move(x, y)
    await desk.mouse.wheel(0, 100)
    const next = await viewer.until('one notch is one image', ({ index, shownIndex }) => index === Math.min(1, one.count - 1) && shownIndex === index)
    expect(await desk.getByTestId('position').textContent()).toBe(`Im ${next.index + 1}/${one.count}`)
    if (one.count > 1) {
      await viewer.agreesWith(`${one.what}, second image`, await judge(next, one.colour), tolerance)
      await desk.getByTestId('tool-scroll').click()
      const reach = one.count > 20 ? height / 5 : height / 12 // so that the end is not met: what is dragged beyond it does not come back
      await viewer.drag([x, y - reach], [x, y + reach])
      expect((await viewer.settled()).index).toBeGreaterThan(2)
      await viewer.drag([x, y + reach], [x, y - reach])
      await viewer.until('the same way back', ({ index }) => index === 1)
      await desk.keyboard.press('Home')
    }
    const first = await viewer.until('the first image again', ({ index, shownIndex }) => index === 0 && shownIndex === 0)
    const reference = await judge(first, one.colour)

    // zoom at the middle, then pan: the picture moves as much as the hand
    await desk.getByTestId('tool-zoom').click()
    await viewer.drag([x, y], [x, y - 60])
    const zoomed = await viewer.until('zoomed', ({ zoom }) => Math.abs((zoom ?? 0) / first.zoom! - 1) > 0.1)
    await desk.getByTestId('tool-pan').click()
    await viewer.drag([x, y], [x + 70, y + 40])
    const moved = await viewer.until('moved', ({ centre }) => Math.abs(centre![0] - zoomed.centre![0]) > 1)
    expect(moved.centre![0]).toBeCloseTo(zoomed.centre![0] - 70 * zoomed.screen!.right[0], 0)
    expect(moved.centre![1]).toBeCloseTo(zoomed.centre![1] - 40 * zoomed.screen!.down[1], 0)
    await viewer.agreesWith(`${one.what}, zoomed and moved`, reference, tolerance)
    await desk.keyboard.press('f')
    await viewer.until('fitted', ({ zoom }) => Math.abs(zoom! - first.zoom!) < 1e-3)

    // window: by the right button, by the tool, by a preset; invert
    await viewer.drag([x, y], [x + 60, y - 30], 'right')
    const wider = await viewer.until('a wider window', ({ window }) => window!.width > first.window!.width * 1.05)
    await viewer.agreesWith(`${one.what}, windowed`, await judge(wider, one.colour), tolerance, windowed(wider.window!))
    await desk.getByTestId('tool-window').click()
    await viewer.drag([x, y], [x - 40, y])
    await viewer.until('a narrower window', ({ window }) => window!.width < wider.window!.width * 0.98)
    await desk.getByTestId(`preset-${one.preset[0]}`).click()
    const chosen = await viewer.until('the preset', ({ window }) => (one.preset[1] ? window!.center === one.preset[1].center && window!.width === one.preset[1].width : window!.width !== wider.window!.width))
    await viewer.agreesWith(`${one.what}, preset`, await judge(chosen, one.colour), tolerance, windowed(chosen.window!))
    await desk.getByTestId('reset').click()
    await viewer.until('as opened', ({ window }) => Math.abs(window!.width - first.window!.width) < 1 && Math.abs(window!.center - first.window!.center) < 1)
    await desk.getByTestId('invert').click()
    await viewer.until('inverted', ({ inverted }) => inverted)
    await viewer.agreesWith(`${one.what}, inverted`, reference, tolerance, (level) => 255 - level)
    await desk.getByTestId('invert').click()
    await viewer.until('not inverted', ({ inverted }) => !inverted)

    // lengths: millimetres only where the image vouches for them, and the reason beside them
    for (const { from, to, expected, unit, says } of one.lengths) {
      const length = (await viewer.measure(from, to)).at(-1)!
      const pixels = Math.hypot(to[0] - from[0], to[1] - from[1])
      expect(length.unit).toBe(unit)
      expect(Math.abs(length.value - expected)).toBeLessThan((expected / pixels) * 1.5)
      const written = await eventually('the length is written', async () => {
        const texts = await viewer.lengthTexts()
        return texts.includes(unit === 'mm' ? `${length.value.toFixed(1)} mm` : `${length.value.toFixed(0)} px`) ? texts : undefined
      })
      if (says) expect(written).toContain(says)
      else expect(written).not.toMatch(/无标定|探测器/)
    }
    await picture(desk, `modality-${one.send[0].replace(/[/.]/g, '-')}`)

    // thumbnails: every series has its picture; lengths are still there when one comes back
    await desk.getByTestId(`thumb-${one.thumbs - 1}`).waitFor()
    expect(await desk.locator('[data-testid^=thumb-]').count()).toBe(one.thumbs)
    await eventually('the thumbnails are drawn', () =>
      desk.evaluate(() => [...document.querySelectorAll<HTMLImageElement>('[data-testid^=thumb-] img')].every((image) => image.complete && image.naturalWidth > 0)),
    )
    const measured = (await viewer.settled()).lengths
    for (let thumb = 1; thumb < one.thumbs; thumb++) {
      await desk.getByTestId(`thumb-${thumb}`).click()
      const other = await viewer.until(`series ${thumb + 1}`, ({ sopInstanceUid, shownIndex }) => sopInstanceUid !== first.sopInstanceUid && shownIndex === 0)
      await viewer.agreesWith(`${one.what}, series ${thumb + 1}`, await judge(other, one.colour), tolerance)
    }
    await desk.getByTestId('thumb-0').click()
    const back = await viewer.until('the first series again', ({ sopInstanceUid, shownIndex }) => sopInstanceUid === first.sopInstanceUid && shownIndex === 0)
    expect(back.lengths).toEqual(measured)
    expect(measured).toHaveLength(one.lengths.length)
    await eventually('the lengths are drawn again', async () => (await viewer.lengthTexts()).includes(one.lengths[0]!.unit))
  })

  it.each(cases)('hands out $what as a picture that DCMTK would draw', async ({ study, colour }) => { // VWR-04
    const node = await region.signIn('hospital-a', 'wang')
    const { view } = await open(desk, study)
    const reference = await judge(view, colour)
    const series = await node.get<{ '0020000E': { Value: [string] } }[]>(`/dicom-web/studies/${study}/instances?SOPInstanceUID=${view.sopInstanceUid}`)
    const window = colour ? '' : `?window=${view.window!.center},${view.window!.width},linear`
    const answer = await desk.request.get(`${region.hospital('hospital-a').url}/dicom-web/studies/${study}/series/${series[0]!['0020000E'].Value[0]}/instances/${view.sopInstanceUid}/frames/${view.frame}/rendered${window}`, { headers: { Accept: 'image/png' } })
    const { data, info } = await sharp(await answer.body()).toColourspace('srgb').removeAlpha().raw().toBuffer({ resolveWithObject: true })
    expect([info.width, info.height]).toEqual([reference.width, reference.height])
    let differing = 0
    for (let pixel = 0; pixel < info.width * info.height; pixel++)
      for (let channel = 0; channel < 3; channel++) {
        const expected = reference.data[pixel * reference.channels + Math.min(channel, reference.channels - 1)] ?? 0
        if (Math.abs((data[pixel * info.channels + Math.min(channel, info.channels - 1)] ?? 0) - expected) > tolerance.near) differing += 1 / 3
      }
    expect(differing / (info.width * info.height)).toBeLessThan(1 - tolerance.shareNear)
  })

  it('plays an ultrasound clip at its rate, round and round, and stops it', async () => { // VWR-07
    const { viewer } = await open(desk, '1.2.840.113857.1626.160635.1727.151815')
    await viewer.until('the whole clip is in memory', ({ loaded, count }) => loaded === count)
    expect(await desk.getByTestId('cine-rate').inputValue()).toBe('32')
    await desk.getByTestId('cine').click()
    const seen = new Set<number>()
    await eventually('many pictures pass', async () => seen.add((await viewer.report())?.shownIndex ?? 0).size >= 8)
    await desk.getByTestId('cine').click()
    const { index } = await viewer.settled()
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect((await viewer.settled()).index).toBe(index)
  })

  it.each(cases)('shows $what on a phone', async (one) => { // VWR-01
    const { viewer, view } = await open(telephone, one.study)
    expect(view.count).toBe(one.count)
    await viewer.agreesWith(`${one.what}, on a phone`, await judge(view, one.colour), tolerance)
    expect(await telephone.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)).toBeLessThanOrEqual(0)
    if (one.count > 1) {
      const { x, y } = await viewer.middle()
      const session = await telephone.context().newCDPSession(telephone)
      const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...points: Point[]) => session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([px, py], id) => ({ x: px, y: py, id })) })
      await touch('touchStart', [x, y])
      for (let step = 1; step <= 10; step++) await touch('touchMove', [x, y + step * 12])
      await touch('touchEnd')
      await viewer.until('a finger scrolls', ({ index }) => index > 0)
    }
    await telephone.getByTestId(`preset-${one.preset[0]}`).tap()
    await telephone.getByTestId('invert').tap()
    await viewer.until('inverted on the phone', ({ inverted }) => inverted)
    await telephone.getByTestId('open-series').tap()
    await telephone.getByTestId('thumb-0').tap()
    await viewer.until('the series opens from the drawer', ({ index, shownIndex }) => index === 0 && shownIndex === 0)
  })

  it('has met no failed request and no error on any page', async () => {
    await desk.close()
    await telephone.close()
    expect(complaints).toEqual([])
  })
})
