import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from './run.ts'
import { PASSPHRASE_VARIABLE, type Terminal } from './terminal.ts'

const folder = mkdtempSync(join(tmpdir(), 'lianpian-pki-'))
afterAll(() => rmSync(folder, { recursive: true }))
const at = (...names: string[]): string => join(folder, ...names)

/** Runs one command as a person would; what was printed comes back with the exit code. */
async function pki(command: string, options: Record<string, string | true> = {}, more: Partial<Terminal> = {}) {
  const lines: string[] = []
  const terminal: Terminal = {
    env: {},
    print: (line) => void lines.push(line),
    askSecret: () => Promise.resolve(undefined),
    now: Date.now,
    ...more,
  }
  const args = Object.entries(options).flatMap(([name, value]) => (value === true ? [`--${name}`] : [`--${name}`, value]))
  const exitCode = await runCli([command, ...args], terminal)
  return { exitCode, output: lines.join('\n') }
}
const done = async (command: string, options: Record<string, string | true>, more: Partial<Terminal> = {}): Promise<string> => {
  const { exitCode, output } = await pki(command, options, more)
  expect(output).not.toContain('[')
  expect(exitCode).toBe(0)
  return output
}
const trust = { root: at('root', 'certificate.pem'), region: 'yunling' }
const withPassphrase = { env: { [PASSPHRASE_VARIABLE]: 'correct horse battery' } }

describe('setting up a region from the command line', () => {
  it('goes from root to two hospitals that exchange a sealed file, and ends with a revocation', async () => {
    await done('init-root', { out: at('root'), name: '区域影像网根', 'encrypt-key': true }, withPassphrase)
    await done('init-region', { root: at('root'), out: at('region'), region: 'yunling', name: '云岭区域证书机构' }, withPassphrase)
    for (const party of ['hospital-a', 'hospital-c']) {
      await done('request', { out: at(party), party, organisation: '医院', region: 'yunling' })
      await done('issue', { ca: at('region'), request: at(party, 'request.pem'), out: at(party, 'chain.pem') })
    }
    expect(await done('verify', { ...trust, in: at('hospital-a', 'chain.pem') })).toContain('hospital-a')

    writeFileSync(at('question.txt'), '右肺结节，请会诊')
    const sealing = {
      ...trust,
      as: at('hospital-a'),
      to: at('hospital-c', 'chain.pem'),
      in: at('question.txt'),
      out: at('question.sealed'),
    }
    expect(await done('seal', sealing)).toContain('hospital-c')
    const opening = { ...trust, as: at('hospital-c'), in: at('question.sealed'), out: at('opened.txt') }
    expect(await done('open', opening)).toContain('hospital-a')
    expect(readFileSync(at('opened.txt'), 'utf8')).toBe('右肺结节，请会诊')

    expect(await done('revoke', { ca: at('region'), certificate: at('hospital-a', 'chain.pem') })).toContain('number 1')
    expect(await done('crl', { ca: at('region') })).toContain('number 2')
    const refused = await pki('open', { ...opening, crl: at('region', 'crl.pem') })
    expect([refused.exitCode, refused.output.includes('certificate/revoked')]).toEqual([1, true])
    const inspected = await pki('inspect', { in: at('region', 'crl.pem') })
    expect(inspected.output).toMatch(/number 2[\s\S]*revoked [0-9a-f]{32}/)
  })
  it('writes private keys for their owner alone and never over another key', async () => {
    for (const party of ['root', 'region', 'hospital-a']) expect(statSync(at(party, 'key.pem')).mode & 0o777).toBe(0o600)
    expect(statSync(at('opened.txt')).mode & 0o777).toBe(0o600)
    const before = readFileSync(at('root', 'key.pem'), 'utf8')
    const again = await pki('init-root', { out: at('root'), name: '另一个根' })
    expect([again.exitCode, again.output.includes('request/conflict')]).toEqual([1, true])
    expect(readFileSync(at('root', 'key.pem'), 'utf8')).toBe(before)
  })
  it('asks for the passphrase of an encrypted key at the keyboard when the environment has none', async () => {
    expect(readFileSync(at('root', 'key.pem'), 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY')
    const ask = (answer: string | undefined) => ({ askSecret: () => Promise.resolve(answer) })
    expect((await pki('crl', { ca: at('root') }, ask('correct horse battery'))).exitCode).toBe(0)
    const nobody = await pki('crl', { ca: at('root') }, ask(undefined))
    expect([nobody.exitCode, nobody.output.includes('certificate/wrong-passphrase')]).toEqual([1, true])
  })
  it('shows what is in a certificate, a request and an envelope', async () => {
    expect((await pki('inspect', { in: at('hospital-a', 'chain.pem') })).output).toMatch(/hospital-a[\s\S]*云岭区域证书机构/)
    expect((await pki('inspect', { in: at('hospital-a', 'request.pem') })).output).toContain('hospital-a  医院  yunling')
    expect((await pki('inspect', { in: at('question.sealed') })).output).toMatch(/from {2}hospital-a[\s\S]*hospital-c/)
  })
})

describe('the command line itself', () => {
  it('explains itself, and says what is missing', async () => {
    expect(await pki('help')).toMatchObject({ exitCode: 0, output: expect.stringContaining('init-region') as string })
    expect(await pki('issue', { help: true })).toMatchObject({ exitCode: 0, output: expect.stringContaining('--request') as string })
    expect((await pki('nonsense')).exitCode).toBe(2)
    expect(await pki('issue', {})).toMatchObject({ exitCode: 2, output: expect.stringContaining('--ca') as string })
    expect((await pki('issue', { passphrase: 'secret' })).exitCode).toBe(2)
    expect(await pki('inspect', { in: at('no-such-file') })).toMatchObject({
      exitCode: 1,
      output: expect.stringContaining('no-such-file') as string,
    })
  })
})
