import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateSm2KeyPair } from 'pki'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compare, isSignedBy, makeList, signList, type ProgramList } from './program-list.ts'

let root: string
let published: ProgramList
const put = (path: string, text: string) => {
  mkdirSync(join(root, path, '..'), { recursive: true })
  writeFileSync(join(root, path), text)
}
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'lianpian-integrity-'))
  put('hub/src/main.ts', 'start()')
  put('viewer/dist/assets/index.js', 'draw()')
  put('node_modules/zod/index.js', 'parse()')
  put('data/node.sqlite', 'rows')
  put('data/settings.json', '{}')
  published = await makeList(root, '1.0.0', { packages: true })
})
afterEach(() => rmSync(root, { recursive: true }))

describe('the program as it was published', () => {
  it('is found unchanged, whatever data and settings it has gathered since', async () => { // SEC-09
    expect(Object.keys(published.files)).toEqual(['hub/src/main.ts', 'node_modules/zod/index.js', 'viewer/dist/assets/index.js'])
    put('data/settings.json', '{"changed":true}')
    put('.run/password', 'secret')
    expect(await compare(root, published)).toEqual({ changed: [], missing: [], added: [] })
  })

  it('names what was changed, removed or put in', async () => { // SEC-09
    put('hub/src/main.ts', 'start(); callHome()')
    put('hub/src/backdoor.mjs', 'callHome()')
    rmSync(join(root, 'node_modules/zod/index.js'))
    expect(await compare(root, published)).toEqual({ changed: ['hub/src/main.ts'], missing: ['node_modules/zod/index.js'], added: ['hub/src/backdoor.mjs'] })
  })

  it('may leave the packages to the lock file', async () => {
    const own = await makeList(root, '1.0.0', { packages: false })
    put('node_modules/zod/index.js', 'other()')
    expect(await compare(root, own)).toEqual({ changed: [], missing: [], added: [] })
  })

  it('is vouched for by a signature that covers every line of the list', () => { // SEC-09
    const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
    const signed = signList(published, privateKeyPem)
    expect(isSignedBy(signed, publicKeyPem)).toBe(true)
    expect(isSignedBy(published, publicKeyPem)).toBe(false)
    expect(isSignedBy(signed, generateSm2KeyPair().publicKeyPem)).toBe(false)
    const altered = { ...signed, files: { ...signed.files, 'hub/src/main.ts': signed.files['viewer/dist/assets/index.js']! } }
    expect(isSignedBy(altered, publicKeyPem)).toBe(false)
    expect(isSignedBy({ ...signed, version: '1.0.1' }, publicKeyPem)).toBe(false)
  })
})
