import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Pixels row by row, 8 bits; one or three (red, green, blue) per pixel. */
export interface Picture {
  width: number
  height: number
  channels: 1 | 3
  data: Uint8Array
}

/** Decoders that dcmj2pnm lacks; GDCM makes a plain file of these first. */
const onlyGdcm = ['1.2.840.10008.1.2.4.80', '1.2.840.10008.1.2.4.81', '1.2.840.10008.1.2.4.90', '1.2.840.10008.1.2.4.91']

/**
 * A frame as DCMTK draws it: the judge of our viewer, which shares no line of code with it.
 *
 * @param window Grey window; colour is drawn as it is stored.
 * @param frame From 1.
 */
export async function drawWithDcmtk(file: string, transferSyntaxUid: string, frame: number, window?: { center: number; width: number }): Promise<Picture> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-reference-'))
  try {
    const plain = join(folder, 'plain.dcm')
    if (onlyGdcm.includes(transferSyntaxUid)) await execute('gdcmconv', ['--raw', file, plain])
    const target = join(folder, 'picture.pnm')
    const windowed = window ? ['+Ww', String(window.center), String(window.width)] : []
    await execute('dcmj2pnm', ['-q', '+F', String(frame), ...windowed, '+op', onlyGdcm.includes(transferSyntaxUid) ? plain : file, target])
    return parsePnm(readFileSync(target))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** `P5` or `P6`, comments, width, height, 255, one white space, pixels. */
function parsePnm(bytes: Buffer): Picture {
  const head = /^P([56])\s+(?:#[^\n]*\s+)*(\d+)\s+(\d+)\s+255\s/.exec(bytes.toString('latin1', 0, 400))
  if (!head) throw new Error(`not a raw PNM: ${bytes.toString('latin1', 0, 40)}`)
  return { channels: head[1] === '5' ? 1 : 3, width: Number(head[2]), height: Number(head[3]), data: bytes.subarray(head[0].length) }
}

/** Where the screen looks at a picture: which image pixel is in the middle, and image pixels per screen pixel to the right and down. */
export interface Lie {
  centre: readonly [number, number]
  right: readonly [number, number]
  down: readonly [number, number]
}

export interface Difference {
  /** Mean distance of the channels, in grey levels of 255. */
  mean: number
  /** Share of pixels whose every channel is within `near` levels. */
  shareNear: number
  compared: number
}

/**
 * Compares a screen with a reference, both lying in the way told; between the reference's pixels it is interpolated
 * bilinearly, as the screen is. The outermost pixels are left out, because there the screen mixes with the background.
 *
 * @param screen RGBA, row by row.
 * @param near Levels that count as the same.
 * @param tone What the page did to the reference since: inverted, windowed.
 */
export function compareWithScreen(screen: { width: number; height: number; data: Uint8Array }, lie: Lie, reference: Picture, near: number, tone: (level: number) => number = (level) => level): Difference {
  let [sum, nearby, compared] = [0, 0, 0]
  for (let y = 1; y < screen.height; y += 2)
    for (let x = 1; x < screen.width; x += 2) {
      const [dx, dy] = [x + 0.5 - screen.width / 2, y + 0.5 - screen.height / 2]
      const column = lie.centre[0] + dx * lie.right[0] + dy * lie.down[0]
      const row = lie.centre[1] + dx * lie.right[1] + dy * lie.down[1]
      if (column < 1 || row < 1 || column > reference.width - 2 || row > reference.height - 2) continue
      let worst = 0
      for (let channel = 0; channel < 3; channel++) {
        const expected = between(reference, column, row, Math.min(channel, reference.channels - 1), tone)
        const distance = Math.abs((screen.data[(y * screen.width + x) * 4 + channel] ?? 0) - expected)
        sum += distance / 3
        worst = Math.max(worst, distance)
      }
      compared += 1
      if (worst <= near) nearby += 1
    }
  return { mean: sum / Math.max(1, compared), shareNear: nearby / Math.max(1, compared), compared }
}

function between({ width, channels, data }: Picture, column: number, row: number, channel: number, tone: (level: number) => number): number {
  const [x, y] = [Math.floor(column), Math.floor(row)]
  const [fx, fy] = [column - x, row - y]
  const at = (px: number, py: number): number => tone(data[(py * width + px) * channels + channel] ?? 0)
  return (at(x, y) * (1 - fx) + at(x + 1, y) * fx) * (1 - fy) + (at(x, y + 1) * (1 - fx) + at(x + 1, y + 1) * fx) * fy
}
