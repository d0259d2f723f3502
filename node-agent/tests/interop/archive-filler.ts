import process from 'node:process'
import { setTimeout as delay } from 'node:timers/promises'
import { isProblem } from 'specs'
import { sendSlice, testArchive } from '../../src/archive/archive.builder.ts'
import { FolderStore } from '../../src/archive/storage/folder-store.ts'
import { defaultPolicy } from '../../src/archive/storage/policy.ts'

// A process of its own for tests that kill it or take its disk away: stores instances over several senders at once and
// prints one line for each answer, `stored <uid>` or `refused <uid> <code>`.
// With a store, what comes moves there at once, is read back now and then, and studies are deleted and restored.
const [folder = '', sizeText = '1000', countText = '100000', encryption = 'none', storeFolder = ''] = process.argv.slice(2)
const pixels = new Uint8Array(Number(sizeText))
const { archive } = await testArchive({ registrationRetries: 0, encryptionMode: encryption === 'sm4' ? 'sm4' : 'none' }, folder)
let next = archive.totals().instances
if (storeFolder !== '') {
  const rule = { ruleId: 'all', name: 'all', to: 'far', after: 'received' as const, days: 0, modalities: [], owners: [], campuses: [] }
  archive.storage.apply({ stores: [new FolderStore('far', storeFolder)], policy: { ...defaultPolicy, tierRules: [rule], keepLocalDays: 0, integrity: { ...defaultPolicy.integrity, everyDays: 0 } } })
}

/** Calls back one that came before, and puts a study aside and back. */
async function disturb(number: number): Promise<void> {
  if (number % 7 === 0) for await (const _chunk of (await archive.open(`2.25.7.${Math.max(0, number - 20)}`)).stream()) continue
  if (number % 30 !== 0) return
  const study = `2.25.8.${number}`
  await sendSlice(archive, { StudyInstanceUID: study, SOPInstanceUID: `${study}.1`, PixelData: pixels })
  await archive.storage.recycle(study, 'test', 'test')
  await archive.storage.restoreRecycled(study)
  process.stdout.write(`stored ${study}.1\n`)
}

async function sender(): Promise<void> {
  while (next < Number(countText)) {
    const number = next++
    const sopInstanceUid = `2.25.7.${number}`
    try {
      await sendSlice(archive, { SOPInstanceUID: sopInstanceUid, InstanceNumber: String(number), PixelData: pixels })
      process.stdout.write(`stored ${sopInstanceUid}\n`)
      if (storeFolder !== '') await disturb(number)
    } catch (error) {
      if (!isProblem(error)) throw error
      process.stdout.write(`refused ${sopInstanceUid} ${error.code}\n`)
      await delay(20)
    }
  }
}
await Promise.all(Array.from({ length: 8 }, sender))
process.exit(0)
