import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { load } from 'js-yaml'
import { loadConfig } from 'service-kit'
import { describe, expect, it } from 'vitest'
import { HubConfig } from '../../hub/src/config.ts'
import { NodeConfig } from '../../node-agent/src/config.ts'
import { root } from '../run.mjs'
import { RegionPlan } from './plan.ts'
import { serviceNodeOptions } from './service-process.ts'

interface Service {
  command?: string[]
  environment?: Record<string, string>
  healthcheck?: object
  user?: string
  read_only?: boolean
  volumes?: string[]
  depends_on?: Record<string, { condition: string }>
}
const compose = load(readFileSync(join(root, 'docker-compose.yml'), 'utf8')) as { services: Record<string, Service> }
const plan = loadConfig(RegionPlan, { file: join(root, 'region.config.jsonc'), prefix: 'LIANPIAN_TEST_REGION_' })

/** The environment as compose would pass it, with its own variables filled in. */
const environmentOf = (name: string) =>
  Object.fromEntries(Object.entries(compose.services[name]?.environment ?? {}).map(([key, value]) => [key, String(value).replace(/\$\{(\w+)[^}]*\}/g, 'secret-for-a-test')]))

describe('the region as containers', () => {
  it('runs every hospital of the demo plan', () => { // LOC-03
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining(plan.hospitals.map(({ id }) => id)))
  })
  it('gives each node a configuration that the node agent accepts, without an unknown variable', () => { // LOC-03
    for (const { id, name, aeTitle } of plan.hospitals) {
      const unknown: string[] = []
      const config = loadConfig(NodeConfig, { file: join(root, 'deploy', 'node.jsonc'), env: environmentOf(id), onUnknown: (variable) => unknown.push(variable) })
      expect([config.hospital.id, config.hospital.name, config.dimse.aeTitle, unknown]).toEqual([id, name, aeTitle, []])
      expect(config.accounts.some(({ roles }) => roles.includes('admin'))).toBe(true)
    }
  })
  it('gives the hub PostgreSQL and an administrator', () => {
    const unknown: string[] = []
    const config = loadConfig(HubConfig, { file: join(root, 'deploy', 'hub.jsonc'), env: environmentOf('hub'), onUnknown: (variable) => unknown.push(variable) })
    expect([config.database?.dialect, config.accounts[0]?.roles, unknown]).toEqual(['postgres', ['region-admin'], []])
  })
  it('checks the health of everything that keeps running, and waits for it', () => { // LOC-03
    const running = Object.entries(compose.services).filter(([name]) => name === 'nats' || name === 'postgres')
    for (const [, service] of running) expect(service.healthcheck).toBeDefined()
    expect(readFileSync(join(root, 'Dockerfile'), 'utf8')).toMatch(/^HEALTHCHECK/m)
    expect(compose.services['hospital-a']?.depends_on?.['hub']?.condition).toBe('service_healthy')
  })
  it('gives every service longer to end than it takes to drain and stop', () => { // LOC-03
    for (const { id } of plan.hospitals) expect(compose.services[id]).toMatchObject({ stop_grace_period: '30s', init: true })
    const config = loadConfig(NodeConfig, { file: join(root, 'deploy', 'node.jsonc'), env: {}, onUnknown: () => {} })
    expect(config.drainMs).toBeGreaterThanOrEqual(1_000)
    expect(config.drainMs).toBeLessThan(15_000) // createShutdown() ends the process then
  })
  it('keeps the keys of the region from nats-server', () => {
    expect(compose.services['nats']?.volumes).toEqual(['nats-config:/data/nats:ro', 'nats-store:/data/nats-store'])
  })
  it('names every variable in .env.example', () => {
    const example = readFileSync(join(root, '.env.example'), 'utf8')
    const used = new Set([...readFileSync(join(root, 'docker-compose.yml'), 'utf8').matchAll(/\$\{(\w+)/g)].map(([, name]) => name!))
    expect([...used].filter((name) => !example.includes(`${name}=`))).toEqual([])
  })
  it('starts services with the same Node options as `npm start`', () => {
    const entryPoint = /^ENTRYPOINT (.*)$/m.exec(readFileSync(join(root, 'Dockerfile'), 'utf8'))?.[1] ?? '[]'
    expect(JSON.parse(entryPoint)).toEqual(['node', ...serviceNodeOptions, '--import', 'tsx'])
  })
  it('never runs our services as root, and names files that exist', () => {
    expect(readFileSync(join(root, 'Dockerfile'), 'utf8')).toMatch(/^USER node$/m)
    for (const service of Object.values(compose.services)) {
      const [file] = service.command ?? []
      if (file?.endsWith('.ts')) expect(readFileSync(join(root, file), 'utf8')).not.toBe('')
    }
  })
})
