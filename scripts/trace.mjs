// npm run trace: which requirement rows a test names, and which rows of the list have none.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './run.mjs'

const rowPattern = /\b(?:FED|AGT|CON|COR|ARC|ING|VWR|V3D|FLM|CLN|RPT|CRV|REG|ULS|PTH|END|QUE|APT|DSP|SRC|CHK|QCT|BIC|OPS|AIP|PRV|INT|SEC|MIG|LOC)-\d{2}\b/g

function* testFiles(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (['node_modules', 'dist', '.git', '.cache', '.run', 'fixtures'].includes(entry.name)) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* testFiles(path)
    else if (/\.(test|contract)\.ts$/.test(entry.name)) yield path
  }
}

const shown = new Map()
for (const file of testFiles(root)) {
  for (const [row] of readFileSync(file, 'utf8').matchAll(rowPattern)) {
    if (!shown.has(row)) shown.set(row, new Set())
    shown.get(row).add(file.slice(root.length + 1))
  }
}

const listFile = join(root, 'docs', 'requirement-rows.txt')
const rows = existsSync(listFile) ? readFileSync(listFile, 'utf8').split(/\s+/).filter((word) => /^[A-Z0-9]{3}-\d{2}$/.test(word)) : [...shown.keys()].sort()
const withTest = rows.filter((row) => shown.has(row))
const without = rows.filter((row) => !shown.has(row))
for (const row of withTest) console.log(`${row}  ${[...shown.get(row)].sort().join(', ')}`)
console.log(`\n没有测试的需求行 rows without a test (${without.length}):\n${without.join(' ')}`)
console.log(`\n${withTest.length} of ${rows.length} requirement rows are named by a test`)
