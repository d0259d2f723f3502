// The OHIF Viewer as its makers publish it: 48 MB compressed, so it is no entry of the lock file but fetched when tests need it.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { root, run } from './run.mjs'

const version = '3.13.2'
/** As in the npm registry's entry of this version. */
const integrity = 'sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=='

/**
 * Fetches @ohif/app by npm once, checks its SHA-512 and unpacks the built pages.
 * @returns {Promise<string>} the folder with index.html
 */
export async function ensureOhif() {
  const folder = join(root, '.cache', `ohif-${version}`)
  const pages = join(folder, 'package', 'dist')
  if (existsSync(pages)) return pages
  mkdirSync(join(root, '.cache'), { recursive: true })
  // Beside the place and then renamed: two test processes may fetch at once.
  const aside = mkdtempSync(`${folder}-`)
  try {
    const quiet = { cwd: aside, stdio: ['ignore', 'ignore', 'inherit'], shell: process.platform === 'win32' }
    console.log(`获取 Fetching @ohif/app ${version} …`)
    if ((await run('npm', ['pack', `@ohif/app@${version}`, '--ignore-scripts', '--loglevel', 'error'], quiet)) !== 0) throw new Error(`@ohif/app ${version} could not be fetched by npm`)
    const archive = `ohif-app-${version}.tgz`
    const found = `sha512-${createHash('sha512').update(readFileSync(join(aside, archive))).digest('base64')}`
    if (found !== integrity) throw new Error(`@ohif/app ${version} differs from what was published: ${found}`)
    if ((await run('tar', ['xzf', archive], quiet)) !== 0) throw new Error('tar could not unpack @ohif/app')
    rmSync(join(aside, archive))
    if (!existsSync(pages)) renameSync(aside, folder)
  } finally {
    rmSync(aside, { recursive: true, force: true })
  }
  return pages
}
