import type { Page } from 'playwright-core'
import { compareWithScreen, type Difference, type Lie, type Picture } from './reference-picture.ts'
import { eventually } from './region.ts'

/** One viewport as `window.__lianpian_viewer` reports it (viewer/README.md). */
export interface ViewportReport {
  index: number
  shownIndex?: number
  count: number
  loaded: number
  loading: boolean
  window?: { center: number; width: number }
  zoom?: number
  centre?: [number, number]
  screen?: { right: [number, number]; down: [number, number] }
  inverted: boolean
  sopInstanceUid?: string
  frame?: number
  lengths: { value: number; unit: string; caution?: string }[]
}

/** The viewer as a person with a mouse has it: looking, dragging, pressing. */
export class ViewerPage {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  report(viewport = 0): Promise<ViewportReport | undefined> {
    return this.page.evaluate<ViewportReport | undefined>(`window.__lianpian_viewer?.viewports[${viewport}]`)
  }

  /** Waits until the picture asked for is on the screen. */
  settled(what = 'the picture is on the screen', timeoutMs = 60_000): Promise<ViewportReport> {
    return eventually(
      what,
      async () => {
        const view = await this.report()
        return view && view.count > 0 && !view.loading && view.shownIndex === view.index && view.screen ? view : undefined
      },
      timeoutMs,
    )
  }

  /** Waits until the report says so. */
  until(what: string, holds: (view: ViewportReport) => boolean): Promise<ViewportReport> {
    return eventually(what, async () => {
      const view = await this.report()
      return view && holds(view) ? view : undefined
    }, 15_000)
  }

  /** Middle of the first viewport, in CSS pixels of the page. */
  async middle(): Promise<{ x: number; y: number; width: number; height: number }> {
    const box = await this.page.getByTestId('viewport-0').boundingBox()
    if (!box) throw new Error('the viewport is not visible')
    return { x: box.x + box.width / 2, y: box.y + box.height / 2, width: box.width, height: box.height }
  }

  async drag(from: readonly [number, number], to: readonly [number, number], button: 'left' | 'middle' | 'right' = 'left'): Promise<void> {
    await this.page.mouse.move(...from)
    await this.page.mouse.down({ button })
    await this.page.mouse.move(...to, { steps: 8 })
    await this.page.mouse.up({ button })
  }

  /** Where an image pixel (column, row) is on the page now. */
  async pointOf([column, row]: readonly [number, number]): Promise<[number, number]> {
    const [{ x, y }, view] = [await this.middle(), await this.settled()]
    const { right, down } = view.screen!
    const [dColumn, dRow] = [column - view.centre![0], row - view.centre![1]]
    const determinant = right[0] * down[1] - right[1] * down[0]
    return [x + (dColumn * down[1] - dRow * down[0]) / determinant, y + (dRow * right[0] - dColumn * right[1]) / determinant]
  }

  /** Draws a length between two image pixels. @returns those on this picture afterwards. */
  async measure(from: readonly [number, number], to: readonly [number, number]): Promise<ViewportReport['lengths']> {
    const before = (await this.settled()).lengths.length
    await this.page.getByTestId('tool-length').click()
    await this.drag(await this.pointOf(from), await this.pointOf(to))
    const { lengths } = await this.until('a length is drawn', (view) => view.lengths.length === before + 1 && (view.lengths.at(-1)?.value ?? 0) > 1)
    return lengths
  }

  /** What is written beside the lengths. */
  async lengthTexts(): Promise<string> {
    return (await this.page.locator('[data-testid=viewport-0] svg').first().textContent()) ?? ''
  }

  /** The pixels of the first viewport's canvas, without the texts that lie over it. */
  async screen(): Promise<{ width: number; height: number; data: Uint8Array }> {
    const { width, height, base64 } = await this.page.evaluate<{ width: number; height: number; base64: string }>(`(() => {
      const canvas = document.querySelector('[data-testid="viewport-0"] canvas')
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      let text = ''
      for (let at = 0; at < data.length; at += 32_768) text += String.fromCharCode(...data.subarray(at, at + 32_768))
      return { width: canvas.width, height: canvas.height, base64: btoa(text) }
    })()`)
    return { width, height, data: Buffer.from(base64, 'base64') }
  }

  /** Compares the screen with the reference until they agree, for drawing may follow its report by some frames. */
  async agreesWith(what: string, reference: Picture, tolerance: { mean: number; near: number; shareNear: number }, tone?: (level: number) => number): Promise<Difference> {
    let last: Difference | undefined
    return eventually(`${what}: the picture of an independent renderer`, async () => {
      const [view, screen] = [await this.settled(), await this.screen()]
      const perCss = screen.width / (await this.middle()).width
      const scaled = ([a, b]: readonly [number, number]): [number, number] => [a / perCss, b / perCss]
      const lie: Lie = { centre: view.centre!, right: scaled(view.screen!.right), down: scaled(view.screen!.down) }
      last = compareWithScreen(screen, lie, reference, tolerance.near, tone)
      return last.compared > 1_000 && last.mean <= tolerance.mean && last.shareNear >= tolerance.shareNear ? last : undefined
    }, 12_000).catch((error: unknown) => {
      throw new Error(`${what}: ${JSON.stringify(last)}`, { cause: error })
    })
  }
}
