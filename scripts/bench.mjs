// npm run bench [-- name …]: every bench/*.bench.ts prints its table; peers run on the same data in the same run.
import { readdirSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import { join } from 'node:path'
import { ensurePackages, requireNode, root, runNode } from './run.mjs'

requireNode()
await ensurePackages()
const { unpackFixtures } = await import('./fixtures.mjs')
unpackFixtures('ct-chest')
const wanted = process.argv.slice(2)
const files = readdirSync(join(root, 'bench')).filter((name) => name.endsWith('.bench.ts') && (wanted.length === 0 || wanted.some((word) => name.includes(word)))).sort()
if (files.length === 0) throw new Error(`没有这样的测试 no such bench: ${wanted.join(' ')}`)
console.log(`${cpus().length} cores (${cpus()[0]?.model.trim()}), ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.version}, ${process.platform}\n`)
let failed = 0
for (const file of files) {
  // Each bench in its own process: one's garbage is not another's pause.
  const code = await runNode(['--import', 'tsx', 'bench/run.ts', join('bench', file)])
  if (code !== 0) failed += 1
}
process.exitCode = failed === 0 ? 0 : 1
