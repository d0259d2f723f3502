import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { chromium, type Browser, type Page } from 'playwright-core'

/** Chromium with drawing in software, silent about everything outside. */
export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    args: [
      '--no-sandbox',
      '--use-angle=swiftshader',
      '--enable-unsafe-swiftshader',
      '--ignore-gpu-blocklist',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--no-first-run',
      '--disable-dev-shm-usage',
    ],
  })
}

function findChromium(): string {
  const candidates = [
    process.env['CHROMIUM'] ?? '',
    ...(process.env['PATH'] ?? '')
      .split(delimiter)
      .flatMap((folder) => ['chromium', 'chromium-browser', 'google-chrome'].map((name) => join(folder, name))),
  ]
  const found = candidates.find((path) => {
    try {
      accessSync(path, constants.X_OK)
      return path !== ''
    } catch {
      return false
    }
  })
  if (!found) throw new Error('chromium is not installed; name it in CHROMIUM or install the package chromium')
  return found
}

/** What `window.__lianpian_viewer` tells, as far as the tests use it. */
export interface Report {
  readonly activeViewport: number
  readonly viewports: readonly {
    readonly index: number
    readonly shownIndex?: number
    readonly count: number
    readonly loaded: number
    readonly loading: boolean
    readonly window?: { readonly center: number; readonly width: number }
    readonly zoom?: number
    readonly inverted: boolean
    readonly sopInstanceUid?: string
    readonly frame?: number
    readonly lengths: readonly { readonly value: number; readonly unit: string; readonly caution?: string }[]
  }[]
}

// The page's policy forbids waitForFunction with text, so waiting is asking again.
export async function until<T>(what: string, ask: () => Promise<T | undefined | false>, timeoutMs = 20_000): Promise<T> {
  const end = Date.now() + timeoutMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (Date.now() > end) throw new Error(`never happened: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
}

export const report = (page: Page): Promise<Report | undefined> => page.evaluate('window.__lianpian_viewer')

/** Waits until the picture asked for is on the screen. */
export function settled(page: Page, viewport = 0): Promise<Report['viewports'][number]> {
  return until(`viewport ${viewport} settled`, async () => {
    const view = (await report(page))?.viewports[viewport]
    return view !== undefined && view.count > 0 && !view.loading && view.shownIndex === view.index && view
  })
}

/** Grey value at a place of the viewport, given as shares of its width and height. */
export async function greyAt(page: Page, viewport: number, x: number, y: number): Promise<number> {
  return page.evaluate(`(() => {
    const canvas = document.querySelector('[data-testid="viewport-${viewport}"] canvas')
    const [r, g, b] = canvas.getContext('2d').getImageData(Math.round(canvas.width * ${x}), Math.round(canvas.height * ${y}), 1, 1).data
    return Math.round((r + g + b) / 3)
  })()`)
}

/** The same once drawing has come to rest: a picture may follow its state by some frames. */
export async function steadyGreyAt(page: Page, viewport: number, x: number, y: number): Promise<number> {
  let seen: number[] = []
  return until('a steady picture', async () => {
    seen = [...seen.slice(-7), await greyAt(page, viewport, x, y)]
    await new Promise((resolve) => setTimeout(resolve, 70))
    return seen.length === 8 && new Set(seen).size === 1 && (seen[0] ?? 0) + 0.001
  }).then(Math.floor)
}
