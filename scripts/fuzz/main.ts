import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { fuzz } from './associations.ts'
import { readCaptures } from './captures.ts'
import { FuzzedNode } from './fuzzed-node.ts'

/**
 * `npm run fuzz -- dimse [--associations 100000] [--seed 1]`: a node in this process is called by as many broken devices. It ends with 1
 * when an exception got through, when a connection was not let go, when a well-behaved device was not answered in between, when its
 * image was harmed, or when memory grew.
 */
const { values, positionals } = parseArgs({
  options: { associations: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' }, 'at-once': { type: 'string', default: '32' } },
  allowPositionals: true,
})
if (positionals[0] !== 'dimse') {
  process.stderr.write('npm run fuzz -- dimse [--associations 100000] [--seed 1]\n')
  process.exit(2)
}
/** Once everything has been used and every cache is full. */
const MAX_GROWTH_MB = 250
const mb = () => Math.round(process.memoryUsage.rss() / 1e6)
const uncaught: unknown[] = []
process.on('uncaughtException', (error) => uncaught.push(error))
process.on('unhandledRejection', (error) => uncaught.push(error))

const folder = await mkdtemp(join(tmpdir(), 'lianpian-fuzz-'))
const node = await FuzzedNode.start(folder)
const [associations, seed] = [Number(values.associations), Number(values.seed)]
const unharmed = await node.keepGoodImage()
let settledMb = 0
let peakMb = 0
let slowestMs = 0
const started = performance.now()
/** What the command itself cannot go on from is no finding, but no success either. */
const stop = (error: unknown): never => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`)
  process.exit(1)
}
const result = await fuzz({
  port: node.port,
  associations,
  seed,
  captures: readCaptures(),
  atOnce: Number(values['at-once']),
  check: async (done) => {
    slowestMs = Math.max(slowestMs, await node.requireAnswer(10_000))
    await unharmed()
    peakMb = Math.max(peakMb, mb())
    if (settledMb === 0 && done >= associations / 10) settledMb = mb()
    process.stdout.write(`${done} of ${associations}: ${mb()} MB, ${Math.round(done / ((performance.now() - started) / 1_000))} associations/s\n`)
  },
}).catch(stop)
const open = await node.openAssociations
await node.stop()
await rm(folder, { recursive: true, force: true })
const seconds = (performance.now() - started) / 1_000
const growthMb = peakMb - settledMb
const failures = [
  ...uncaught.map((error) => `an exception got through: ${error instanceof Error ? error.stack : String(error)}`),
  ...result.hanging.map((what) => `not let go: ${what}`),
  ...(open > 0 ? [`${open} associations are open at the end`] : []),
  ...(growthMb > MAX_GROWTH_MB ? [`memory grew by ${growthMb} MB`] : []),
]
process.stdout.write(`${JSON.stringify({ associations, seed, seconds: Math.round(seconds), perSecond: Math.round(associations / seconds), ends: result.ends, answeredBytes: result.answeredBytes, settledMb, peakMb, slowestGoodEchoMs: slowestMs, failures: failures.length }, undefined, 2)}\n`)
for (const failure of failures.slice(0, 20)) process.stderr.write(`${failure}\n`)
process.exit(failures.length === 0 ? 0 : 1)
