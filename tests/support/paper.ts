import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Page } from 'playwright-core'

const run = promisify(execFile)
const mmOfPoints = (points: string) => Math.round((Number(points) / 72) * 25.4)

export interface Paper {
  readonly pages: readonly { readonly widthMm: number; readonly heightMm: number }[]
  /** As poppler reads it from the PDF: what a person would read on the paper. */
  readonly text: string
  /** Pictures on all pages. */
  readonly images: number
}

/** Prints the page as the browser would on paper (its own page size, print styles) and reads the PDF with poppler. */
export async function printedPages(page: Page, name: string): Promise<Paper> {
  const folder = await mkdtemp(join(tmpdir(), 'lianpian-paper-'))
  const file = process.env['LIANPIAN_PAPER'] ?? join(folder, `${name}.pdf`)
  try {
    await page.pdf({ path: file, preferCSSPageSize: true, printBackground: false })
    const { stdout: info } = await run('pdfinfo', ['-f', '1', '-l', '99', file])
    const { stdout: text } = await run('pdftotext', ['-layout', file, '-'])
    const { stdout: images } = await run('pdfimages', ['-list', file])
    const pages = [...info.matchAll(/^Page\s+\d+ size:\s+([\d.]+) x ([\d.]+)/gm)].map(([, width = '', height = '']) => ({ widthMm: mmOfPoints(width), heightMm: mmOfPoints(height) }))
    return { pages, text, images: images.split('\n').filter((line) => /^\s*\d+\s+\d+\s+image/.test(line)).length }
  } finally {
    await rm(folder, { recursive: true })
  }
}
