import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { root } from '../../scripts/run.mjs'

export interface NextVersion {
  readonly version: string
  /** TypeScript file that starts the service, relative to the repository. */
  main(service: 'hub' | 'node-agent'): string
  remove(): void
}

/**
 * The next version of hub and node agent: their sources with another version number and one more migration each, beside
 * the old ones as an update brings them. The migration adds the column `next_version_note` to `exam` and to `hospital`.
 */
export function makeNextVersion(version: string): NextVersion {
  mkdirSync(join(root, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, '.cache', 'next-version-'))
  const change = (file: string, from: string | RegExp, to: string) => {
    const text = readFileSync(join(folder, file), 'utf8')
    const changed = text.replace(from, to)
    if (changed === text) throw new Error(`${file} has changed: ${String(from)} is not in it`)
    writeFileSync(join(folder, file), changed)
  }
  const migration = (table: string) => `await db.migrate('next-version', [{ name: 'note', up: ['ALTER TABLE ${table} ADD COLUMN next_version_note TEXT'] }])\n`
  for (const service of ['hub', 'node-agent']) cpSync(join(root, service, 'src'), join(folder, service, 'src'), { recursive: true })
  for (const pages of ['viewer', 'regional-console', 'node-agent/desk']) symlinkSync(join(root, pages), join(folder, pages))
  change('node-agent/src/version.ts', /'\d+\.\d+\.\d+'/, `'${version}'`)
  change('hub/src/hub.ts', /const VERSION = '[^']+'/, `const VERSION = '${version}'`)
  change('node-agent/src/node/ground.ts', /(?=await db\.migrate\('dicom-node')/, migration('exam'))
  change('hub/src/hub.ts', /(?<=await migrateHub\(db\)\n)/, migration('hospital'))
  return {
    version,
    main: (service) => relative(root, join(folder, service, 'src', 'main.ts')),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}
