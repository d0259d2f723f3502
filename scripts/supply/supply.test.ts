import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { root } from '../run.mjs'
import { differencesOf, faultsOf, isAllowedLicence, reproducible, severalVersions, type Lock } from './supply.mjs'

const good = { version: '1.0.0', integrity: 'sha512-x', license: 'MIT' }
const lockOf = (packages: Lock['packages']): Lock => ({ packages: { '': {}, hub: { version: '0.1.0' }, 'node_modules/hub': { link: true, resolved: 'hub' }, ...packages } })
const manifest = { allowScripts: {}, overrides: {} }

describe('what we are built from', () => {
  it('is in order in this very repository', () => { // SEC-14
    const read = (file: string) => JSON.parse(readFileSync(join(root, file), 'utf8')) as never
    expect(faultsOf(read('package-lock.json'), read('package.json'))).toEqual([])
  })

  it('has a digest for every package, and comes from a registry', () => { // SEC-14
    expect(faultsOf(lockOf({ 'node_modules/a': good }), manifest)).toEqual([])
    const { integrity: _integrity, ...without } = good
    expect(faultsOf(lockOf({ 'node_modules/a': without }), manifest)).toEqual([expect.stringContaining('no SHA-512')])
    expect(faultsOf(lockOf({ 'node_modules/a': { ...good, resolved: 'git+ssh://host/a.git#1' } }), manifest)).toEqual([expect.stringContaining('not from a registry')])
  })

  it('is under licences on the list', () => {
    expect(['MIT', '(MIT OR GPL-3.0)', 'Apache-2.0 AND MIT', '(MIT AND Zlib)'].map((licence) => isAllowedLicence(licence))).toEqual([true, true, true, true])
    expect(['GPL-3.0-only', 'AGPL-3.0', 'MIT AND GPL-3.0', 'SEE LICENSE IN x'].map((licence) => isAllowedLicence(licence))).toEqual([false, false, false, false])
    expect(faultsOf(lockOf({ 'node_modules/a/node_modules/@b/c': { ...good, license: 'AGPL-3.0' } }), manifest)).toEqual([expect.stringContaining('@b/c@1.0.0')])
  })

  it('runs no script while it is installed but those that were looked at', () => { // SEC-14
    const lock = lockOf({ 'node_modules/a': { ...good, hasInstallScript: true } })
    expect(faultsOf(lock, manifest)).toEqual([expect.stringContaining('allowScripts')])
    expect(faultsOf(lock, { allowScripts: { a: true } })).toEqual([])
    expect(faultsOf(lockOf({ 'node_modules/a': good }), { allowScripts: { a: true } })).toEqual([expect.stringContaining('runs no script')])
  })

  it('keeps to the versions that were pinned', () => {
    const lock = lockOf({ 'node_modules/a': good, 'node_modules/b/node_modules/a': { ...good, version: '2.0.0' } })
    expect(faultsOf(lock, { overrides: { a: '1.0.0' } })).toEqual([expect.stringContaining('pins a to 1.0.0')])
    expect(severalVersions(lock)).toEqual([{ name: 'a', versions: ['1.0.0', '2.0.0'] }])
  })
})

describe('the bill of materials', () => {
  const component = (name: string) => ({ 'bom-ref': name, name, version: '1.0.0' })
  it('is the same for the same lock', () => { // SEC-14
    const made = (serialNumber: string, ...names: string[]) => ({ serialNumber, metadata: { timestamp: serialNumber, tools: [] }, components: names.map(component), dependencies: [] })
    expect(reproducible(made('1', 'a', 'b'))).toEqual(reproducible(made('2', 'b', 'a')))
  })

  it('names what the lock names, neither less nor more', () => { // SEC-14
    const lock = lockOf({ 'node_modules/a': good })
    expect(differencesOf({ components: [component('a'), { name: 'hub', version: '0.1.0' }] }, lock)).toEqual([])
    expect(differencesOf({ components: [component('b')] }, lock)).toEqual(['missing in the SBOM: a@1.0.0', 'not in the lock: b@1.0.0'])
  })
})
