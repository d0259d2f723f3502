// node scripts/containers/base-images.mjs: the three images that docker-compose.yml stands on, made from packages alone.
// For a hospital whose network reaches a Debian mirror and an npm mirror, but no image registry. Needs docker and root,
// or mmdebstrap's unprivileged mode; writes the names of the images into .env, where compose finds them.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { ensureSystemPackages, root } from '../run.mjs'

const { values } = parseArgs({
  options: {
    mirror: { type: 'string', default: process.env.DEBIAN_MIRROR ?? 'http://deb.debian.org/debian' },
    suite: { type: 'string', default: 'bookworm' },
    fresh: { type: 'boolean', default: false }, // also those that exist
    'node-version': { type: 'string', default: '22.23.3' },
  },
})
const { mirror, suite } = values
await ensureSystemPackages({ programs: ['mmdebstrap', 'docker'], apt: ['mmdebstrap', 'docker.io'] })

const work = mkdtempSync(join(tmpdir(), 'lianpian-base-'))
try {
  const node = importImage(`lianpian-base/node:${values['node-version']}`, {
    packages: ['ca-certificates'],
    overlay: nodeFolder,
    // The user and number that the official image of Node.js has: volumes keep their owner whichever base is used.
    commands: ['useradd --uid 1000 --user-group --create-home --shell /usr/sbin/nologin node', 'update-ca-certificates'],
    changes: ['CMD ["node"]', 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt'],
  })
  const nats = importImage(`lianpian-base/nats:${suite}`, {
    packages: ['nats-server', 'netcat-openbsd'],
    changes: ['ENTRYPOINT ["/usr/sbin/nats-server"]'],
  })
  const postgres = importImage(`lianpian-base/postgres:${suite}`, {
    packages: ['postgresql'],
    overlay: postgresFolder,
    // Debian makes a cluster of its own at installation; ours is made in the volume.
    commands: ['for it in /usr/lib/postgresql/*/bin/*; do ln -s "$it" /usr/local/bin/; done', 'rm -rf /var/lib/postgresql/*/main'],
    changes: ['ENTRYPOINT ["/usr/local/bin/postgres-entrypoint.sh"]'],
  })
  rememberImages({
    LIANPIAN_NODE_IMAGE: node.name,
    LIANPIAN_NATS_IMAGE: nats.name,
    LIANPIAN_NATS_VERSION: nats.run(['--version']).match(/\d+\.\d+\.\d+/)[0],
    LIANPIAN_POSTGRES_IMAGE: postgres.name,
  })
} finally {
  rmSync(work, { recursive: true, force: true })
}

/** A Debian system with these packages, the overlay copied over it, as an image. */
function importImage(name, { packages, overlay, commands = [], changes }) {
  const image = { name, run: (args) => execFileSync('docker', ['run', '--rm', '--network=none', name, ...args], { encoding: 'utf8' }) }
  if (!values.fresh && spawnSync('docker', ['image', 'inspect', name], { stdio: 'ignore' }).status === 0) return image
  console.log(`${name} …`)
  const tar = join(work, 'image.tar')
  const hooks = [...(overlay ? [`copy-in ${overlay()}/. /`] : []), ...commands.map((command) => `chroot "$1" sh -c '${command}'`)]
  const args = ['--variant=minbase', `--include=${packages.join(',')}`, '--aptopt=Acquire::Languages "none"', '--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/doc/*']
  execFileSync('mmdebstrap', ['--quiet', ...args, ...hooks.map((hook) => `--customize-hook=${hook}`), suite, tar, mirror], { stdio: ['ignore', 'ignore', 'inherit'] })
  execFileSync('docker', ['import', ...changes.flatMap((change) => ['--change', change]), tar, name], { stdio: ['ignore', 'ignore', 'inherit'] })
  rmSync(tar)
  return image
}

/** Node.js with its headers (sqlite3 compiles itself against them) and npm, both as npm packages; our own certificate authorities. */
function nodeFolder() {
  const folder = join(work, 'node')
  const local = join(folder, 'usr', 'local')
  mkdirSync(join(local, 'lib', 'node_modules'), { recursive: true })
  cpSync(unpack(`node-linux-${process.arch}@${values['node-version']}`), local, { recursive: true })
  cpSync(unpack('npm@11'), join(local, 'lib', 'node_modules', 'npm'), { recursive: true })
  for (const program of ['npm', 'npx']) symlinkSync(`../lib/node_modules/npm/bin/${program}-cli.js`, join(local, 'bin', program))
  // A hospital's gateway may sign with an authority of its own.
  const authorities = '/usr/local/share/ca-certificates'
  if (existsSync(authorities)) cpSync(authorities, join(local, 'share', 'ca-certificates'), { recursive: true })
  return folder
}

function postgresFolder() {
  const folder = join(work, 'postgres')
  mkdirSync(join(folder, 'usr', 'local', 'bin'), { recursive: true })
  cpSync(join(root, 'deploy', 'base', 'postgres-entrypoint.sh'), join(folder, 'usr', 'local', 'bin', 'postgres-entrypoint.sh'))
  return folder
}

function unpack(specifier) {
  const [{ filename }] = JSON.parse(execFileSync('npm', ['pack', '--json', '--pack-destination', work, specifier], { encoding: 'utf8', cwd: work, stdio: ['ignore', 'pipe', 'ignore'] }))
  const folder = join(work, filename.replace(/\.tgz$/, ''))
  mkdirSync(folder)
  execFileSync('tar', ['xzf', join(work, filename), '-C', folder, '--strip-components=1'])
  return folder
}

/** Other lines of .env, passwords for instance, stay. */
function rememberImages(images) {
  const file = join(root, '.env')
  const kept = existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter((line) => line !== '' && !(line.split('=')[0] in images)) : []
  writeFileSync(file, [...kept, ...Object.entries(images).map(([name, value]) => `${name}=${value}`), ''].join('\n'), { mode: 0o600 })
  console.log(Object.entries(images).map(([name, value]) => `${name}=${value}`).join('\n'))
}
