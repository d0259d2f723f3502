// What the container scripts share: compose by whichever name it has, and the health that the engine sees.
import { execFileSync, spawnSync } from 'node:child_process'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from '../run.mjs'

/** Version 2 is a part of docker, version 1 a program of its own. */
const command = spawnSync('docker', ['compose', 'version'], { stdio: 'ignore' }).status === 0 ? ['docker', 'compose'] : ['docker-compose']

/** @throws when it fails; its output goes to the terminal */
export function compose(args, env = {}) {
  execFileSync(command[0], [...command.slice(1), ...args], { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
}

export function composeOutput(args) {
  return execFileSync(command[0], [...command.slice(1), ...args], { cwd: root, encoding: 'utf8' }).trim()
}

/** @returns {{ image: string, state: string, health: string } | undefined} undefined when the service has no container */
export function containerOf(service) {
  const id = composeOutput(['ps', '-q', service])
  if (id === '') return undefined
  const format = '{{.Config.Image}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}}'
  const [image, state, health] = execFileSync('docker', ['inspect', '--format', format, id], { encoding: 'utf8' }).trim().split(' ')
  return { image, state, health }
}

/** @throws when the service is not healthy in time */
export async function untilHealthy(service, timeoutMs = 180_000) {
  for (const deadline = Date.now() + timeoutMs; ; await sleep(500)) {
    const found = containerOf(service)
    if (found?.health === 'healthy') return
    if (Date.now() > deadline) throw new Error(`${service}: ${JSON.stringify(found)}`)
  }
}
