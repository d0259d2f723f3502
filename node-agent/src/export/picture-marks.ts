import sharp, { type Sharp } from 'sharp'
import type { ExportFormat } from 'specs'

/** What is written on every picture of an export. */
export interface Marks {
  /** Across the picture, again and again: whoever cuts off an edge keeps it. */
  readonly across: string
  /** Below the picture: who, when, where, what for. */
  readonly below: string
  /** Above the picture, when it shall tell whose it is; '' when not. */
  readonly above: string
  /** The same for machines without a font for ideographs. */
  readonly plain: { readonly across: string; readonly below: string; readonly above: string }
}

const FONTS = 'Noto Sans CJK SC, Noto Sans SC, WenQuanYi Micro Hei, WenQuanYi Zen Hei, Microsoft YaHei, PingFang SC, sans-serif'
/** Narrower pictures get a black border: the text needs room. */
const LEAST_WIDTH = 480
const MARGIN = 8
const JPEG_QUALITY = 92

interface Raster {
  readonly data: Buffer
  readonly width: number
  readonly height: number
}

/** Writes the marks of one export on its pictures; texts are drawn once for each size. */
export class PictureMarker {
  readonly #marks: Marks
  #texts: Promise<Pick<Marks, 'across' | 'below' | 'above'>> | undefined
  readonly #strips = new Map<string, Promise<Raster>>()
  readonly #patterns = new Map<string, Promise<Raster>>()

  constructor(marks: Marks) {
    this.#marks = marks
  }

  /** @param png of a rendered frame, without marks. */
  async mark(png: Buffer, format: Exclude<ExportFormat, 'dicom'>): Promise<Buffer> {
    this.#texts ??= canDrawIdeographs().then((can) => (can ? this.#marks : this.#marks.plain))
    const { across, below, above } = await this.#texts
    const { width = 1, height = 1 } = await sharp(png).metadata()
    const full = Math.max(width, LEAST_WIDTH)
    const [head, foot] = [above === '' ? undefined : await this.#strip(above, full, 20), await this.#strip(below, full, 16)]
    const top = head?.height ?? 0
    const pattern = await this.#pattern(across, width, height)
    const left = Math.floor((full - width) / 2)
    const marked = sharp(png).composite([{ input: pattern.data, raw: { width, height, channels: 4 } }])
    const framed = sharp(await marked.png({ compressionLevel: 1 }).toBuffer())
      .flatten({ background: '#000' })
      .extend({ top, bottom: foot.height, left, right: full - width - left, background: '#000' })
    const strips = [...(head ? [{ strip: head, at: 0 }] : []), { strip: foot, at: top + height }]
    const whole = sharp(await framed.png({ compressionLevel: 1 }).toBuffer()).composite(strips.map(({ strip, at }) => ({ input: strip.data, raw: { width: strip.width, height: strip.height, channels: 4 as const }, left: 0, top: at })))
    return format === 'png' ? whole.png({ compressionLevel: 6 }).toBuffer() : whole.jpeg({ quality: JPEG_QUALITY }).toBuffer()
  }

  #strip(text: string, width: number, size: number): Promise<Raster> {
    return remembered(this.#strips, `${text} ${width}`, () => strip(text, width, size))
  }

  #pattern(text: string, width: number, height: number): Promise<Raster> {
    return remembered(this.#patterns, `${width}×${height}`, () => pattern(text, width, height))
  }
}

/** A study has a handful of sizes; a hostile one does not get to keep hundreds. */
function remembered(kept: Map<string, Promise<Raster>>, key: string, make: () => Promise<Raster>): Promise<Raster> {
  const known = kept.get(key)
  if (known) return known
  if (kept.size >= 16) kept.clear()
  const made = make()
  kept.set(key, made)
  made.catch(() => kept.delete(key))
  return made
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.codePointAt(0)};`)

const drawn = (markup: string, size: number, width?: number) => sharp({ text: { text: markup, font: `${FONTS} ${size}`, dpi: 72, rgba: true, wrap: 'word-char', ...(width !== undefined && { width }) } })

/** White on black, in as many lines as it takes. */
async function strip(text: string, width: number, size: number): Promise<Raster> {
  const lines = await drawn(`<span foreground="#ddd">${escaped(text)}</span>`, size, width - 2 * MARGIN).png().toBuffer({ resolveWithObject: true })
  const height = lines.info.height + 2 * MARGIN
  return raster(sharp({ create: { width, height, channels: 4, background: '#000' } }).composite([{ input: lines.data, left: MARGIN, top: MARGIN }]))
}

/** Slanted, faint, light on dark and dark on light, so that it stays readable whatever lies below and hides nothing. */
async function pattern(text: string, width: number, height: number): Promise<Raster> {
  const size = Math.max(12, Math.round(Math.min(width, height) / 22))
  const clear = { r: 0, g: 0, b: 0, alpha: 0 }
  const [light, dark] = [await drawn(`<span foreground="#fff" alpha="24%">${escaped(text)}</span>`, size).png().toBuffer({ resolveWithObject: true }), await drawn(`<span foreground="#000" alpha="24%">${escaped(text)}</span>`, size).png().toBuffer()]
  const [wide, high] = [light.info.width + 4 * size, light.info.height + 5 * size]
  const word = await sharp({ create: { width: wide, height: high, channels: 4, background: clear } }).composite([{ input: dark, left: 2 * size + 1, top: 2 * size + 1 }, { input: light.data, left: 2 * size, top: 2 * size }]).png().toBuffer() // prettier-ignore
  const slanted = await sharp(word).rotate(-24, { background: clear }).png().toBuffer({ resolveWithObject: true })
  const tile = await sharp(slanted.data).extract({ left: 0, top: 0, width: Math.min(slanted.info.width, width), height: Math.min(slanted.info.height, height) }).png().toBuffer()
  return raster(sharp({ create: { width, height, channels: 4, background: clear } }).composite([{ input: tile, tile: true, gravity: 'northwest' }]))
}

async function raster(image: Sharp): Promise<Raster> {
  const { data, info } = await image.ensureAlpha().raw().toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height }
}

let ideographs: Promise<boolean> | undefined
/** Without a font every ideograph is the same empty box. */
function canDrawIdeographs(): Promise<boolean> {
  const one = (text: string) => drawn(text, 24).raw().toBuffer()
  ideographs ??= Promise.all([one('院'), one('医')]).then(([a, b]) => !a.equals(b))
  return ideographs
}
