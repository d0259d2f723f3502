import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { isProblem } from 'specs'
import { sendSlice, testArchive } from '../../src/archive/archive.builder.ts'

// A process of its own for tests that kill it or take its disk away: stores instances over several senders at once and
// prints one line for each answer, `stored <uid>` or `refused <uid> <code>`.
const [folder = '', sizeText = '1000', countText = '100000', encryption = 'none'] = process.argv.slice(2)
const pixels = new Uint8Array(Number(sizeText))
const { archive } = await testArchive({ registrationRetries: 0, encryptionMode: encryption === 'sm4' ? 'sm4' : 'none' }, folder)
let next = archive.totals().instances

async function sender(): Promise<void> {
  while (next < Number(countText)) {
    const number = next++
    const sopInstanceUid = `2.25.7.${number}`
    try {
      await sendSlice(archive, { SOPInstanceUID: sopInstanceUid, InstanceNumber: String(number), PixelData: pixels })
      process.stdout.write(`stored ${sopInstanceUid}\n`)
    } catch (error) {
      if (!isProblem(error)) throw error
      process.stdout.write(`refused ${sopInstanceUid} ${error.code}\n`)
      await delay(20)
    }
  }
}
await Promise.all(Array.from({ length: 8 }, sender))
process.exit(0)
