import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDatabase, type Database } from '../database/index.ts'
import { kekSourceOf } from './kek.ts'
import { createLog } from '../log/index.ts'
import { Resealing } from './reseal.ts'
import { readSecretFile } from './secret-file.ts'
import { isSealed, Vault } from './vault.ts'

let folder: string
let db: Database
const key = () => join(folder, 'vault.kek')
const open = (options: Partial<Parameters<typeof Vault.open>[0]> = {}) => Vault.open({ db, kek: kekSourceOf({ keyFile: key() }), ...options })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vault-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

describe('the vault', () => {
  it('gives every value back where it belongs and nowhere else', async () => {
    // SEC-15, GB/T 22239 8.1.4.8
    const vault = await open()
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string(), fc.string(), (text, context, elsewhere) => {
        const sealed = vault.seal(text, context)
        expect(isSealed(sealed)).toBe(true)
        expect(vault.open(sealed, context)).toBe(Buffer.from(text, 'utf8').toString('utf8'))
        if (elsewhere !== context) expect(() => vault.open(sealed, elsewhere)).toThrow(expect.objectContaining({ code: 'vault/unreadable' }))
      }),
    )
    expect(vault.seal('13800138000', 'phone')).not.toBe(vault.seal('13800138000', 'phone'))
  })
  it('finds equal values by an index that differs by kind, and by installation', async () => {
    const vault = await open()
    expect(vault.blindIndex('13800138000', 'phone')).toBe(vault.blindIndex('13800138000', 'phone'))
    expect(vault.blindIndex('13800138000', 'phone')).not.toBe(vault.blindIndex('13800138000', 'id-card'))
    const other = await openDatabase({ dialect: 'sqlite', file: join(folder, 'other.sqlite') })
    const elsewhere = await Vault.open({ db: other, kek: kekSourceOf({ keyFile: key() }) })
    expect(elsewhere.blindIndex('13800138000', 'phone')).not.toBe(vault.blindIndex('13800138000', 'phone'))
    await other.close()
  })
  it('makes its key at the first start, for its owner only, and reads what it sealed after a restart', async () => {
    const sealed = (await open()).seal('secret', 'here')
    expect((await stat(key())).mode & 0o777).toBe(0o600)
    expect((await open()).open(sealed, 'here')).toBe('secret')
  })
  it('never begins anew when the key is missing or another one', async () => {
    const sealed = (await open()).seal('secret', 'here')
    const right = await readFile(key(), 'utf8')
    await rm(key())
    await expect(open()).rejects.toThrow(/key is missing.*No new key was made/)
    await expect(readFile(key())).rejects.toThrow('ENOENT')
    await writeFile(key(), 'ab'.repeat(32))
    await expect(open()).rejects.toThrow(/another one/)
    await writeFile(key(), 'not a key')
    await expect(open()).rejects.toThrow(/64 hexadecimal digits/)
    await writeFile(key(), right)
    expect((await open()).open(sealed, 'here')).toBe('secret')
  })
  it('takes its key from the environment or from a program', async () => {
    const sealed = (await open({ kek: kekSourceOf({ environment: 'HOSPITAL_KEK' }, { HOSPITAL_KEK: 'cd'.repeat(32) }) })).seal('secret', 'here')
    const byProgram = await open({ kek: kekSourceOf({ command: [process.execPath, '-e', `console.log('cd'.repeat(32))`] }) })
    expect(byProgram.open(sealed, 'here')).toBe('secret')
    await expect(open({ kek: kekSourceOf({ environment: 'HOSPITAL_KEK' }, {}) })).rejects.toThrow(/HOSPITAL_KEK.*put that key back/)
    await expect(byProgram.renewKek()).rejects.toMatchObject({ code: 'vault/kek-elsewhere' })
  })
  it('seals with a new data key after a change and still reads the old', async () => {
    const vault = await open()
    const before = vault.seal('secret', 'here')
    await vault.rotate()
    const after = vault.seal('secret', 'here')
    expect([vault.isCurrent(before), vault.isCurrent(after)]).toEqual([false, true])
    const again = await open()
    expect([again.open(before, 'here'), again.open(after, 'here')]).toEqual(['secret', 'secret'])
  })
  it('waits with a new data key until other processes know it', async () => {
    let now = 1_000
    const vault = await open({ now: () => now, keySpreadMs: 30_000 })
    const before = vault.seal('secret', 'here')
    await vault.rotate()
    expect(vault.isCurrent(before)).toBe(true)
    now += 30_000
    expect(vault.isCurrent(before)).toBe(false)
  })
  it('seals a table anew only when every process knows the new key', async () => {
    const vault = await open({ keySpreadMs: 150 })
    await db.run('CREATE TABLE note (id TEXT PRIMARY KEY, text TEXT NOT NULL)')
    await db.run('INSERT INTO note VALUES ($1, $2)', ['n', vault.seal('secret', 'note/n')])
    await vault.rotate()
    const job = new Resealing({ db, vault, columns: [{ table: 'note', key: 'id', column: 'text', context: (id) => `note/${id}` }], log: createLog({ name: 'test', level: 'silent' }) })
    job.start()
    while (job.isRunning) await new Promise((resolve) => setTimeout(resolve, 5))
    const kept = (await db.get<{ text: string }>('SELECT text FROM note'))!.text
    expect([job.progress.state, vault.isCurrent(kept), kept.startsWith('v1.1.'), vault.open(kept, 'note/n')]).toEqual(['done', true, false, 'secret'])
  })
  it('goes on when another process has changed the key over the keys, and the data key after it', async () => {
    const [here, elsewhere] = [await open(), await open()]
    await elsewhere.renewKek()
    await elsewhere.rotate()
    const sealed = elsewhere.seal('secret', 'here')
    expect(() => here.open(sealed, 'here')).toThrow(expect.objectContaining({ code: 'vault/unreadable' }))
    await here.refresh()
    expect(here.open(sealed, 'here')).toBe('secret')
  })
  it('changes the key over the keys without touching what is sealed, also when interrupted', async () => {
    const vault = await open()
    const sealed = vault.seal('secret', 'here')
    const index = vault.blindIndex('x', 'y')
    const old = await readFile(key(), 'utf8')
    const before = (await vault.status()).kekId
    expect(await vault.renewKek()).not.toBe(before)
    expect(await readFile(key(), 'utf8')).not.toContain(old.trim().split('\n').at(-1))
    const again = await open()
    expect([again.open(sealed, 'here'), again.blindIndex('x', 'y')]).toEqual(['secret', index])
    await kekSourceOf({ keyFile: key() }).renew!.add() // and then the process ended
    const third = await open()
    expect([third.open(sealed, 'here'), (await third.status()).kekId]).toEqual(['secret', (await kekSourceOf({ keyFile: key() }).read())[0]!.id])
  })
  it('seals a key file written before there was a vault, in place', async () => {
    const vault = await open()
    const file = join(folder, 'node.key.pem')
    await writeFile(file, '-----BEGIN PRIVATE KEY-----')
    expect(await readSecretFile(vault, file, 'node key')).toBe('-----BEGIN PRIVATE KEY-----')
    expect(await readFile(file, 'utf8')).not.toContain('PRIVATE')
    expect(await readSecretFile(vault, file, 'node key')).toBe('-----BEGIN PRIVATE KEY-----')
    await expect(readSecretFile(vault, file, 'other key')).rejects.toMatchObject({ code: 'vault/unreadable' })
    expect(await readSecretFile(vault, join(folder, 'none'), 'node key')).toBeUndefined()
  })
  it('seals a file again under the key of today when it is read', async () => {
    const vault = await open()
    const file = join(folder, 'node.key.pem')
    await writeFile(file, vault.seal('secret', 'node key'))
    await vault.rotate()
    expect(await readSecretFile(vault, file, 'node key')).toBe('secret')
    expect(vault.isCurrent(await readFile(file, 'utf8'))).toBe(true)
  })
  it('seals a table anew after a change of key, telling how far it is, and leaves what others write meanwhile', async () => {
    const vault = await open()
    await db.run('CREATE TABLE exam_contact (exam_id TEXT PRIMARY KEY, phone TEXT NOT NULL)')
    const context = (id: string) => `exam/${id}/phone`
    await db.write(async (tx) => {
      for (let at = 0; at < 450; at++) await tx.run('INSERT INTO exam_contact VALUES ($1, $2)', [`e${at}`, at === 7 ? '' : at === 8 ? 'clear:138' : vault.seal(`138${at}`, context(`e${at}`))])
    })
    await vault.rotate()
    const columns = [{ table: 'exam_contact', key: 'exam_id', column: 'phone', context, clear: (kept: string) => (kept.startsWith('clear:') ? kept.slice(6) : undefined) }]
    const job = new Resealing({ db, vault, columns, log: createLog({ name: 'test', level: 'silent' }) })
    job.start()
    while (job.isRunning) await new Promise((resolve) => setTimeout(resolve, 5))
    expect(job.progress).toMatchObject({ state: 'done', done: 449, total: 449 })
    for (const { id, phone } of await db.all<{ id: string; phone: string }>('SELECT exam_id AS "id", phone FROM exam_contact')) {
      if (id === 'e7') continue
      expect(vault.isCurrent(phone)).toBe(true)
      expect(vault.open(phone, context(id))).toBe(id === 'e8' ? '138' : `138${id.slice(1)}`)
    }
  })
})
