import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { build } from 'vite'
import { unpackFixtures } from '../../../scripts/fixtures.mjs'
import { greyAt, openBrowser, steadyGreyAt, report, settled, until } from '../support/browser.ts'
import { serveViewer, type ViewerServer } from '../support/dicomweb-server.ts'

const viewerFolder = join(import.meta.dirname, '../..')
const dist = join(viewerFolder, 'dist')
let fixtures = ''
let browser: Browser
let desktop: BrowserContext
let ct: ViewerServer
let page: Page
const complaints: string[] = []

beforeAll(async () => {
  fixtures = unpackFixtures('ct-chest', 'us-echo', 'us-rgb', 'dx-small', 'mr-overlay', 'syntaxes')
  if (!isBuilt()) await build({ root: viewerFolder, configFile: join(viewerFolder, 'vite.config.ts'), logLevel: 'error' })
  ct = await serveViewer({ folders: [join(fixtures, 'ct-chest')], dist })
  browser = await openBrowser()
  desktop = await browser.newContext() // shared, so that program and decoders are loaded once
}, 120_000)

afterAll(async () => {
  await browser?.close()
  await ct?.close()
})

beforeEach(() => void complaints.splice(0))
afterEach(async () => {
  await page.close()
  // The policy of the page, an uncaught error or a missing decoder would show here.
  expect(complaints.filter((line) => /Content Security Policy|pageerror|decoder/.test(line))).toEqual([])
})

/** Whether the built page is younger than every source of it. */
function isBuilt(): boolean {
  const page = join(dist, 'index.html')
  if (!existsSync(page)) return false
  const sources = readdirSync(join(viewerFolder, 'src'), { recursive: true, encoding: 'utf8' })
  return sources.every((path) => statSync(join(viewerFolder, 'src', path)).mtimeMs <= statSync(page).mtimeMs)
}

async function open(
  server: ViewerServer,
  options: { task?: boolean; width?: number; height?: number; touch?: boolean; query?: string; study?: string } = {},
): Promise<void> {
  const { width = 1100, height = 720, touch = false } = options
  const context = touch ? await browser.newContext({ viewport: { width, height }, hasTouch: true, isMobile: true }) : desktop
  page = await context.newPage()
  if (!touch) await page.setViewportSize({ width, height })
  page.on('console', (message) => complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(`pageerror ${error.message}`))
  await page.goto(
    `${server.url}/viewer/?study=${options.study ?? server.node.study}${options.task ? `&task=${server.node.taskId}` : ''}${options.query ?? ''}`,
  )
  await page.waitForSelector('[data-testid=username], [data-testid=viewport-0]')
  if (await page.isVisible('[data-testid=username]')) {
    await page.fill('[data-testid=username]', 'li')
    await page.fill('[data-testid=password]', 'demo-Pass-1')
    await page.click('[data-testid=sign-in]')
  }
  await settled(page)
}

async function centre(viewport = 0): Promise<{ x: number; y: number; width: number; height: number }> {
  const box = await page.locator(`[data-testid=viewport-${viewport}]`).boundingBox()
  if (!box) throw new Error('viewport is not visible')
  return { x: box.x + box.width / 2, y: box.y + box.height / 2, width: box.width, height: box.height }
}

async function drag(
  from: readonly [number, number],
  to: readonly [number, number],
  button: 'left' | 'middle' | 'right' = 'left',
  steps = 8,
): Promise<void> {
  await page.mouse.move(...from)
  await page.mouse.down({ button })
  await page.mouse.move(...to, { steps })
  await page.mouse.up({ button })
}

const patience = { timeout: 150_000 } // a busy machine draws slowly; alone the whole file takes well under a minute

describe('reading a CT in the browser', patience, () => {
  it('shows the series, scrolls, windows, measures and inverts it', async () => {
    // VWR-01, VWR-08, VWR-21, VWR-22, VWR-36
    await open(ct)
    expect(await settled(page)).toMatchObject({ index: 0, count: 75, window: { center: -450, width: 2000 } })
    const { x, y, width, height } = await centre()

    // wheel: exactly one image per notch, both ways, and never past the ends
    await page.mouse.move(x, y)
    for (const [notch, position] of [
      [100, 'Im 2/75'],
      [100, 'Im 3/75'],
      [100, 'Im 4/75'],
      [-100, 'Im 3/75'],
    ] as const) {
      await page.mouse.wheel(0, notch)
      await until(position, async () => (await page.textContent('[data-testid=position]')) === position)
    }
    expect((await settled(page)).index).toBe(2)

    // drag down: the next images; back up by the same way: the same image; the middle button does the same
    await drag([x, y - 60], [x, y + 60])
    const below = (await settled(page)).index
    expect(below).toBeGreaterThan(10)
    await drag([x, y + 60], [x, y - 60], 'middle')
    expect((await settled(page)).index).toBe(2)

    // keys
    await page.keyboard.press('End')
    expect((await settled(page)).index).toBe(74)
    await page.keyboard.press('PageUp')
    await page.keyboard.press('ArrowUp')
    expect((await settled(page)).index).toBe(63)

    // presets by button and by key, typed window, right button drags the window
    await page.click('[data-testid=preset-lung]')
    await until('lung window', async () => JSON.stringify((await report(page))?.viewports[0]?.window) === '{"center":-600,"width":1500}')
    await page.keyboard.press('2')
    await until('mediastinum window', async () => (await page.textContent('[data-testid=window-text]')) === 'WW 400  WL 40')
    await page.fill('[data-testid=window-width]', '1400')
    await page.fill('[data-testid=window-center]', '-500')
    await page.press('[data-testid=window-center]', 'Enter')
    await until('typed window', async () => (await page.textContent('[data-testid=window-text]')) === 'WW 1400  WL -500')
    await page.locator('[data-testid=window-center]').blur()
    await drag([x, y], [x + 80, y], 'right')
    expect((await settled(page)).window?.width).toBeGreaterThan(1_600)
    expect((await settled(page)).window?.center).toBeCloseTo(-500, 0)

    // 512 pixels of 0.78125 mm fill the shorter side: 200 px on the screen are 200 · 400 mm / that side
    await page.keyboard.press('f')
    await page.click('[data-testid=tool-length]')
    await drag([x - 100, y], [x + 100, y])
    const [length] = await until('a length', async () => {
      const lengths = (await report(page))?.viewports[0]?.lengths
      return lengths?.[0] !== undefined && lengths[0].value > 1 && lengths
    })
    const expectedMm = (200 * 400) / Math.min(width, height)
    expect(length?.unit).toBe('mm')
    expect(Math.abs((length?.value ?? 0) - expectedMm)).toBeLessThan(0.78125 * 1.5)
    await until('its label', async () => (await page.textContent('[data-testid=viewport-0] svg'))?.includes(' mm'))
    expect(await page.textContent('[data-testid=edge-left]')).toBe('R')

    // black becomes white and back; mirrored letters
    await page.click('[data-testid=tool-scroll]')
    await page.keyboard.press('1')
    await until('lung again', async () => (await report(page))?.viewports[0]?.window?.width === 1_500)
    const before = await steadyGreyAt(page, 0, 0.5, 0.06)
    await page.click('[data-testid=invert]')
    await until('inverted pixels', async () => Math.abs((await greyAt(page, 0, 0.5, 0.06)) - (255 - before)) <= 6)
    await page.click('[data-testid=invert]')
    await until('pixels as before', async () => Math.abs((await greyAt(page, 0, 0.5, 0.06)) - before) <= 2)
    await page.keyboard.press('h')
    await until('mirrored letters', async () => (await page.textContent('[data-testid=edge-left]')) === 'L')
    await page.keyboard.press('h')
    await until('mirrored back', async () => (await page.textContent('[data-testid=edge-left]')) === 'R')
    // turning and mirroring are those of the screen, in whatever order
    for (const [key, edge, letter] of [
      ['r', 'right', 'A'],
      ['h', 'left', 'A'],
      ['r', 'top', 'A'],
      ['v', 'bottom', 'A'],
    ] as const) {
      await page.keyboard.press(key)
      await until(`${letter} at the ${edge} after ${key}`, async () => (await page.textContent(`[data-testid=edge-${edge}]`)) === letter)
    }
    await page.keyboard.press('Escape')
    await until('letters as before', async () => (await page.textContent('[data-testid=edge-left]')) === 'R')
    expect((await settled(page)).window).toEqual({ center: -450, width: 2_000 })
  })

  it('keeps viewports apart and opens a series from the list', async () => {
    // VWR-09, VWR-11
    await open(ct)
    await page.click('[data-testid=layout-1x2]')
    // both halves know their new size: the 512 pixels of the image fill the shorter side
    const half = await centre(0)
    const fitted = Math.min(half.width, half.height) / 512
    await until('the zoom of the smaller viewport', async () => Math.abs(((await report(page))?.viewports[0]?.zoom ?? 0) - fitted) < 0.02)
    const second = await centre(1)
    await page.mouse.click(second.x, second.y)
    await page.click('[data-testid=thumb-0]')
    expect(await settled(page, 1)).toMatchObject({ index: 0, count: 75 })
    await page.mouse.move(second.x, second.y)
    await page.mouse.wheel(0, 100)
    await until('second viewport scrolled', async () => (await report(page))?.viewports[1]?.index === 1)
    expect((await report(page))?.viewports[0]?.index).toBe(0)
    await page.click('[data-testid=layout-1x1]')
    expect((await settled(page)).count).toBe(75)
  })

  it('names the reason when a picture fails, in Chinese, and shows it at the second attempt', async () => {
    const broken = ct.instances.find((instance) => (instance.metadata['00200013'] as { Value: number[] }).Value[0] === 157)?.sop ?? ''
    ct.breakInstance(broken, true)
    await open(ct)
    await page.goto(`${ct.url}/viewer/?study=${ct.node.study}&instance=${broken}`)
    await page.waitForSelector('[data-testid=image-problem]')
    expect(await page.textContent('[data-testid=image-problem]')).toContain('对方医院当前离线')
    ct.breakInstance(broken, false)
    await page.click('[data-testid=retry]')
    expect((await settled(page)).sopInstanceUid).toBe(broken)
    expect(await page.isVisible('[data-testid=image-problem]')).toBe(false)
  })
})

describe('a consultation in the viewer', patience, () => {
  it('is taken, read, marked, written and signed; the submitter then reads it and jumps to the key images', async () => {
    // CON-09, CON-11, CON-18
    await open(ct, { task: true })
    expect(await page.textContent('[data-testid=question]')).toContain('右肺下叶结节')
    expect(await page.textContent('[data-testid=history-source]')).toBe('实时')
    await page.keyboard.press('k')
    expect(await page.textContent('[data-testid=hint]')).toBe('接收会诊后可标记关键图像')

    await page.click('[data-testid=claim]')
    await page.waitForSelector('[data-testid=opinion-findings]:not([disabled])')
    await until('reading began', async () => ct.node.state === 'started')
    await page.mouse.move(400, 400)
    for (let notch = 0; notch < 5; notch++) await page.mouse.wheel(0, 100)
    await until('Im 6', async () => (await settled(page)).index === 5)
    await page.keyboard.press('k')
    await page.waitForSelector('[data-testid=key-mark]')
    await page.keyboard.press('ArrowDown')
    await settled(page)
    await page.click('[data-testid=mark-key-image]')
    await page.fill('[data-testid=key-image-note-1]', '右下叶背段')
    await page.fill('[data-testid=opinion-findings]', '右肺下叶背段结节，约 12 mm，分叶。')
    await page.fill('[data-testid=opinion-text]', '考虑恶性可能，建议增强 CT。')
    await until(
      'draft saved',
      async () =>
        ct.node.draft.opinion !== '' &&
        JSON.stringify(ct.node.draft.keyImages[1] ?? '').includes('右下叶背段') &&
        (await page.textContent('[data-testid=draft-state]'))?.startsWith('已保存'),
    )
    await page.click('[data-testid=opinion-sign]')
    await page.fill('[data-testid=signing-password]', 'demo-Pass-1')
    await page.click('[data-testid=opinion-sign-confirm]')
    await page.waitForSelector('[data-testid=signed-banner]')
    expect(await page.textContent('[data-testid=signed-banner]')).toContain('李明远')
    expect(await page.locator('[data-testid=timeline] li').count()).toBe(4)
    await page.close()

    ct.node.side = 'submitter'
    await open(ct, { task: true })
    await page.waitForSelector('[data-testid=signed-banner]')
    expect(await page.textContent('[data-testid=signed-opinion]')).toContain('考虑恶性可能')
    expect(await page.textContent('[data-testid=signature-state]')).toBe('签名有效')
    expect(await page.textContent('[data-testid=key-image-strip]')).toContain('右下叶背段')
    await page.click('[data-testid=key-image-1]')
    expect((await settled(page)).index).toBe(6)
    await page.click('[data-testid=key-images-only]')
    expect(await settled(page)).toMatchObject({ count: 2, index: 1 })
    ct.node.side = 'processor'
  })
})

describe('the viewer on a phone', patience, () => {
  it('scrolls with one finger, zooms with two and opens series and opinion', async () => {
    // VWR-08
    await open(ct, { task: true, width: 390, height: 844, touch: true })
    const { x, y } = await centre()
    const session = await page.context().newCDPSession(page)
    const touch = (type: 'touchStart' | 'touchMove' | 'touchEnd', ...points: readonly (readonly [number, number])[]) =>
      session.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([px, py], id) => ({ x: px, y: py, id })) })
    await touch('touchStart', [x, y])
    for (let step = 1; step <= 10; step++) await touch('touchMove', [x, y + step * 8])
    await touch('touchEnd')
    expect((await settled(page)).index).toBeGreaterThan(5)
    const { zoom = 0 } = await settled(page)
    await touch('touchStart', [x - 40, y], [x + 40, y])
    for (let step = 1; step <= 8; step++) await touch('touchMove', [x - 40 - step * 5, y], [x + 40 + step * 5, y])
    await touch('touchEnd')
    await until('zoomed', async () => ((await report(page))?.viewports[0]?.zoom ?? 0) > zoom * 1.7)
    await page.tap('[data-testid=open-series]')
    await page.tap('[data-testid=thumb-0]')
    await settled(page)
    await page.tap('[data-testid=toggle-panel]')
    await page.waitForSelector('[data-testid=consult-panel]')
    expect(await page.isVisible('[data-testid=signed-banner]')).toBe(true)
  })
})

describe('other kinds of images', patience, () => {
  it.each([
    { set: 'us-echo', what: 'a colour ultrasound clip in JPEG', count: 34 },
    { set: 'dx-small', what: 'a radiograph that is stored inverted', count: 1 },
    { set: 'mr-overlay', what: 'an MR image', count: 1 },
  ])('shows $what', async ({ set, count }) => {
    // VWR-01
    const server = await serveViewer({ folders: [join(fixtures, set)], dist })
    try {
      await open(server)
      const view = await settled(page)
      expect(view.count).toBe(count)
      const greys = await Promise.all([0.3, 0.4, 0.5, 0.6, 0.7].flatMap((gx) => [0.3, 0.5, 0.7].map((gy) => greyAt(page, 0, gx, gy))))
      expect(new Set(greys).size).toBeGreaterThan(3)
    } finally {
      await server.close()
    }
  })
})
