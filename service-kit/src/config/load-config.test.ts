import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { DatabaseConfig } from '../database/index.ts'
import { ConfigError, loadConfig } from './index.ts'

const Config = z.strictObject({
  hospital: z.strictObject({ id: z.string().min(1), name: z.string() }),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.number().int().max(65_535).default(8420),
      trustProxy: z.boolean().default(false),
    })
    .prefault({}),
  platform: z.strictObject({ hubUrl: z.url().optional() }).prefault({}),
  database: DatabaseConfig.default({ dialect: 'sqlite', file: 'a.sqlite' }),
  accounts: z.array(z.strictObject({ username: z.string(), password: z.string().min(8) })).default([]),
})

const folder = mkdtempSync(join(tmpdir(), 'lianpian-config-'))
afterAll(() => rmSync(folder, { recursive: true }))
let files = 0
function aFile(text: string): string {
  const file = join(folder, `${files++}.jsonc`)
  writeFileSync(file, text)
  return file
}
const HOSPITAL = '"hospital": { "id": "a", "name": "云溪县人民医院" }'
const faultOf = (load: () => unknown): string => {
  try {
    load()
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('nothing was wrong')
}

describe('the configuration of a service', () => {
  it('is JSON with comments, completed by defaults', () => {
    const config = loadConfig(Config, { file: aFile(`{ // ours\n ${HOSPITAL},\n /* port */ "http": { "port": 9000, }, }`), env: {} })
    expect(config).toMatchObject({
      hospital: { name: '云溪县人民医院' },
      http: { host: '127.0.0.1', port: 9000 },
      database: { dialect: 'sqlite' },
    })
  })

  it('is overridden by the environment, so that the platform address can be changed without editing', () => {
    // AGT-03
    const env = {
      LIANPIAN_HTTP_PORT: '9100',
      LIANPIAN_HTTP_TRUST_PROXY: 'true',
      LIANPIAN_HOSPITAL_NAME: '123',
      LIANPIAN_PLATFORM_HUB_URL: 'http://hub.example:8400',
      LIANPIAN_ACCOUNTS: '[{"username":"wang","password":"long enough"}]',
      LIANPIAN_DATABASE: '{"dialect":"sqlite","file":"x.sqlite"}',
      LIANPIAN_DATABASE_FILE: 'y.sqlite',
      PATH: '/bin',
    }
    const config = loadConfig(Config, { file: aFile(`{${HOSPITAL}, "http": { "port": 9000 }}`), env })
    expect(config).toEqual({
      hospital: { id: 'a', name: '123' },
      http: { host: '127.0.0.1', port: 9100, trustProxy: true },
      platform: { hubUrl: 'http://hub.example:8400' },
      database: { dialect: 'sqlite', file: 'y.sqlite' },
      accounts: [{ username: 'wang', password: 'long enough' }],
    })
  })

  it('takes a secret from the file that a container mounts', () => {
    const secret = aFile('postgres://u:p@db/lianpian\n')
    const config = loadConfig(Config, {
      env: {
        LIANPIAN_HOSPITAL_ID: 'a',
        LIANPIAN_HOSPITAL_NAME: 'A',
        LIANPIAN_DATABASE_DIALECT: 'postgres',
        LIANPIAN_DATABASE_URL_FILE: secret,
      },
    })
    expect(config.database).toMatchObject({ dialect: 'postgres', url: 'postgres://u:p@db/lianpian' })
  })

  it('names file, line, field and reason in both languages when a value is wrong', () => {
    const file = aFile(`{\n  ${HOSPITAL},\n  "http": {\n    "port": 70000,\n    "hots": "x"\n  }\n}`)
    const fault = faultOf(() => loadConfig(Config, { file, env: {} }))
    expect(fault).toContain(`http.port [${file}:4]`)
    expect(fault).toMatch(/数值过大.*\/ Too big/)
    expect(fault).toMatch(/http \[.*:3\]: .*hots/)
  })

  it('names the variable when the environment is wrong', () => {
    const fault = faultOf(() => loadConfig(Config, { file: aFile(`{${HOSPITAL}}`), env: { LIANPIAN_HTTP_PORT: 'eighty' } }))
    expect(fault).toContain('http.port [LIANPIAN_HTTP_PORT]')
    expect(fault).not.toContain('eighty')
  })

  it('names what is missing', () => {
    expect(faultOf(() => loadConfig(Config, { env: {} }))).toContain('hospital [environment]')
  })

  it('never repeats a secret', () => {
    const fault = faultOf(() =>
      loadConfig(Config, { file: aFile(`{${HOSPITAL}, "accounts": [{ "username": "wang", "password": "geheim" }]}`), env: {} }),
    )
    expect(fault).toMatch(/accounts\.0\.password \[.*:1\]/)
    expect(fault).not.toContain('geheim')
  })

  it('names a file that is absent, or not JSON with the line', () => {
    expect(faultOf(() => loadConfig(Config, { file: join(folder, 'none.jsonc'), env: {} }))).toMatch(/none\.jsonc \(ENOENT\)/)
    expect(faultOf(() => loadConfig(Config, { file: aFile('{\n"a": 1\n"b": }'), env: {} }))).toMatch(/\.jsonc:3 /)
    expect(faultOf(() => loadConfig(Config, { file: aFile('[]'), env: {} }))).toContain('one object')
  })

  it('tells of a variable that is no setting', () => {
    const unknown: string[] = []
    loadConfig(Config, { file: aFile(`{${HOSPITAL}}`), env: { LIANPIAN_HTTP_PROT: '1' }, onUnknown: (variable) => unknown.push(variable) })
    expect(unknown).toEqual(['LIANPIAN_HTTP_PROT'])
  })
})
