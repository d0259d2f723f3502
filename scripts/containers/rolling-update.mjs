// node scripts/containers/rolling-update.mjs <version>: builds lianpian:<version> and puts one service after the other on it:
// SIGTERM, 503 on /health, the end in order, the new container, healthy, then the next. Stops at the first that does not become
// healthy; the others stay on the old version. Going back is the same with the old version. docs/containers.md says more.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { root } from '../run.mjs'
import { compose, untilHealthy } from './compose.mjs'

const { positionals, values } = parseArgs({ allowPositionals: true, options: { 'no-build': { type: 'boolean', default: false } } })
const [version] = positionals
if (!/^[\w.-]{1,64}$/.test(version ?? '')) {
  console.error('node scripts/containers/rolling-update.mjs <version> [--no-build]')
  process.exit(2)
}

const env = { LIANPIAN_VERSION: version }
if (!values['no-build']) compose(['build', 'hub'], env)
// nats-server is replaced only when its image or settings have changed. The database of the hub is not: a new major
// version of PostgreSQL needs its data carried over.
const services = ['nats', 'hub', 'data-centre', 'hospital-a', 'hospital-b', 'hospital-c']
for (const service of services) {
  const begun = Date.now()
  compose(['up', '-d', '--no-deps', '--no-build', service], env)
  try {
    await untilHealthy(service)
  } catch (error) {
    console.error(`${service} 未恢复健康，更新停止；未更新的服务保持原版本。 ${service} did not become healthy, the update stops; the rest stays as it was.\n${error.message}`)
    process.exit(1)
  }
  console.log(`${service}: ${version}, ${((Date.now() - begun) / 1000).toFixed(1)} s`)
}
rememberVersion()

/** From now on `compose up` means this version. */
function rememberVersion() {
  const file = join(root, '.env')
  const kept = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '' && !line.startsWith('LIANPIAN_VERSION=')) : []
  writeFileSync(file, [...kept, `LIANPIAN_VERSION=${version}`, ''].join('\n'), { mode: 0o600 })
}
