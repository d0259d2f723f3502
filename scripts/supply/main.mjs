// npm run supply: known holes (where the registry answers), licences, integrity, install scripts, versions. Also part of npm run check.
// npm run sbom [-- --out FILE]: the bill of materials (CycloneDX), the same for the same lock file.
import { execFile } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { root } from '../run.mjs'
import { differencesOf, faultsOf, packagesOf, reproducible, severalVersions } from './supply.mjs'

const execute = promisify(execFile)
const readJson = (file) => JSON.parse(readFileSync(join(root, file), 'utf8'))

/** @returns {Promise<Record<string, any>>} CycloneDX, from the lock file alone */
async function makeSbom() {
  const { stdout } = await execute('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], { cwd: root, maxBuffer: 64 * 1024 * 1024, shell: process.platform === 'win32' })
  return reproducible(JSON.parse(stdout))
}

/** @returns {Promise<{ state: 'asked', high: string[], lower: number } | { state: 'unavailable', why: string }>} */
async function askForHoles() {
  const answer = await execute('npm', ['audit', '--json', '--audit=true'], { cwd: root, maxBuffer: 64 * 1024 * 1024, timeout: 60_000, shell: process.platform === 'win32' }).catch((error) => error)
  let report
  try {
    report = JSON.parse(answer.stdout)
  } catch {
    return { state: 'unavailable', why: String(answer.message ?? 'no answer').split('\n')[0] }
  }
  if (!report.vulnerabilities) return { state: 'unavailable', why: String(report.message ?? report.error?.summary ?? 'no answer').split(' - ')[0] }
  const found = Object.values(report.vulnerabilities)
  const high = found.filter(({ severity }) => severity === 'high' || severity === 'critical').map(({ name, severity, range }) => `${name} ${range}: ${severity}`)
  return { state: 'asked', high, lower: found.length - high.length }
}

/** @returns {Promise<number>} exit code */
export async function checkSupply() {
  const [lock, manifest] = [readJson('package-lock.json'), readJson('package.json')]
  const faults = faultsOf(lock, manifest)
  faults.push(...differencesOf(await makeSbom(), lock))
  const holes = await askForHoles()
  if (holes.state === 'asked') {
    faults.push(...holes.high)
    console.log(`npm audit: ${holes.high.length} high or critical, ${holes.lower} lower`)
  } else console.log(`npm audit 不可用：所用的镜像不提供漏洞查询（${holes.why}）；未检查已知漏洞，请在能访问官方仓库处重查。 Known holes were NOT looked for: the registry in use does not offer it.`)
  const several = severalVersions(lock)
  console.log(`${packagesOf(lock).length} packages, ${several.length} in several versions (npm run supply -- --versions)`)
  if (process.argv.includes('--versions')) for (const { name, versions } of several) console.log(`  ${name}: ${versions.join(', ')}`)
  for (const fault of faults) console.error(`✗ ${fault}`)
  return faults.length === 0 ? 0 : 1
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { sbom: { type: 'boolean', default: false }, out: { type: 'string', default: join(root, '.cache', 'sbom.cdx.json') }, versions: { type: 'boolean', default: false } } })
  if (values.sbom) {
    const file = resolve(values.out)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify(await makeSbom(), undefined, 2)}\n`)
    console.log(file)
  } else process.exitCode = await checkSupply()
}
