// Builds the pages whose sources changed since the last build: viewer, desk, regional console.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePackages, requireNode, root, runNode } from './run.mjs'

export const pages = ['viewer', 'node-agent/desk', 'regional-console']

function* sources(folder) {
  for (const name of readdirSync(folder).sort()) {
    if (name === 'node_modules' || name === 'dist' || name === 'tests') continue
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* sources(path)
    else yield path
  }
}

function fingerprint(page) {
  const hash = createHash('sha256')
  for (const folder of [join(root, page), join(root, 'specs', 'src'), join(root, 'page-kit', 'src')]) for (const file of sources(folder)) hash.update(file.slice(root.length)).update(readFileSync(file))
  return hash.update(readFileSync(join(root, 'package-lock.json'))).digest('hex')
}

/** @returns {Promise<boolean>} whether every page is there and current */
export async function buildPages() {
  let ok = true
  for (const page of pages) {
    const mark = join(root, page, 'dist', '.built-from')
    const now = fingerprint(page)
    if (existsSync(mark) && readFileSync(mark, 'utf8') === now) continue
    console.log(`构建页面 Building ${page} …`)
    const code = await runNode([join(root, 'node_modules', 'vite', 'bin', 'vite.js'), 'build', '--logLevel', 'warn'], { cwd: join(root, page) })
    if (code === 0) {
      mkdirSync(join(root, page, 'dist'), { recursive: true })
      writeFileSync(mark, now)
    } else ok = false
  }
  return ok
}

if (process.argv[1] === import.meta.filename) {
  requireNode()
  await ensurePackages()
  process.exitCode = (await buildPages()) ? 0 : 1
}
