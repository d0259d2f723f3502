// Unpacks fixtures/dicom (some files are stored brotli-compressed, byte for byte) into a folder where tools can read them.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { brotliDecompressSync } from 'node:zlib'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
export const fixturesSource = join(root, 'fixtures', 'dicom')
export const fixturesFolder = join(root, '.cache', 'fixtures', 'dicom')

/** Rows of fixtures/dicom/MANIFEST.csv: no field of it but the last free-text ones may hold quotes. */
export function readManifest() {
  const [head, ...lines] = readFileSync(join(fixturesSource, 'MANIFEST.csv'), 'utf8').trim().split('\n')
  const names = head.split(',')
  return lines.map((line) => {
    const fields = [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)].slice(0, names.length).map(([, field]) => (field.startsWith('"') ? field.slice(1, -1).replaceAll('""', '"') : field))
    return Object.fromEntries(names.map((name, index) => [name, fields[index]]))
  })
}

/**
 * Unpacks the named sets (all when none is named) once; later calls only look. Every file is checked by SHA-256.
 * @returns the folder that holds `<set>/<file>`.
 */
export function unpackFixtures(...sets) {
  for (const row of readManifest()) {
    if (sets.length > 0 && !sets.includes(row.path.split('/')[0])) continue
    const target = join(fixturesFolder, row.path)
    if (existsSync(target)) continue
    const stored = readFileSync(join(fixturesSource, row.stored_as === 'br' ? `${row.path}.br` : row.path))
    const bytes = row.stored_as === 'br' ? brotliDecompressSync(stored) : stored
    if (createHash('sha256').update(bytes).digest('hex') !== row.sha256) throw new Error(`fixture ${row.path} differs from its manifest`)
    mkdirSync(dirname(target), { recursive: true })
    // Two test processes may unpack at once: write aside, then rename.
    const aside = `${target}.${process.pid}.part`
    writeFileSync(aside, bytes)
    renameSync(aside, target)
  }
  return fixturesFolder
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(unpackFixtures(...process.argv.slice(2)))
