import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { runCli } from '../cli/run.ts'

const folder = mkdtempSync(join(tmpdir(), 'lianpian-tls-server-'))
afterAll(() => rmSync(folder, { recursive: true }))
const read = (...names: string[]) => new X509Certificate(readFileSync(join(folder, ...names)))
const tlsServer = (...names: string[]) =>
  runCli(['tls-server', '--ca', join(folder, 'ca'), '--out', join(folder, 'node'), ...names.flatMap((name) => ['--name', name])], { env: {}, print: () => undefined, askSecret: () => Promise.resolve(undefined), now: Date.now })

describe('a hospital without certificates of its own', () => {
  it('makes a root once and as many server certificates as it needs', async () => { // SEC-11
    expect(await tlsServer('pacs.hospital.example', '10.1.0.5')).toBe(0)
    const [root, first] = [read('ca', 'tls-ca.cert.pem'), read('node', 'server.cert.pem')]
    expect([first.verify(root.publicKey), first.checkHost('pacs.hospital.example'), first.checkIP('10.1.0.5')]).toEqual([true, 'pacs.hospital.example', '10.1.0.5'])
    for (const key of [join(folder, 'ca', 'tls-ca.key.pem'), join(folder, 'node', 'server.key.pem')]) expect(statSync(key).mode & 0o077).toBe(0)
    expect(await tlsServer('pacs.hospital.example')).toBe(0)
    const renewed = read('node', 'server.cert.pem')
    expect([read('ca', 'tls-ca.cert.pem').serialNumber, renewed.serialNumber === first.serialNumber, renewed.verify(root.publicKey)]).toEqual([root.serialNumber, false, true])
    expect(await runCli(['tls-server', '--ca', join(folder, 'ca')], { env: {}, print: () => undefined, askSecret: () => Promise.resolve(undefined), now: Date.now })).toBe(2)
  })
})
