import { resolve } from 'node:path'
import process from 'node:process'
import { pathToFileURL } from 'node:url'

/** What a bench tells: rows of one table, values already with their units. */
export interface BenchResult {
  name: string
  rows: Record<string, string | number>[]
}

const [file] = process.argv.slice(2)
if (file === undefined) throw new Error('which bench?')
const bench = (await import(pathToFileURL(resolve(file)).href)) as { run: () => Promise<BenchResult> }
const { name, rows } = await bench.run()
process.stdout.write(`${name}\n`)
console.table(rows)
// A bench may leave connections open; the exit code is its own if it has set one.
process.exit()
