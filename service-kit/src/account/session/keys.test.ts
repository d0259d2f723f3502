import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeRoles } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { aService, doctor, signIn, type TestService } from '../../../tests/support/service.ts'
import { createAccounts } from '../accounts.ts'
import { openDatabase, type Database } from '../../database/index.ts'
import { kekSourceOf, Vault } from '../../vault/index.ts'

let folder: string
let vaultDb: Database
let service: TestService
let vault: Vault

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'session-keys-'))
  vaultDb = await openDatabase({ dialect: 'sqlite', file: join(folder, 'vault.sqlite') })
  vault = await Vault.open({ db: vaultDb, kek: kekSourceOf({ keyFile: join(folder, 'vault.kek') }) })
  service = await aService({ accounts: { vault } })
})
afterEach(async () => {
  await service.stop()
  await vaultDb.close()
  await rm(folder, { recursive: true, force: true })
})

describe('keys of sessions behind the vault', () => {
  it('verify the same tokens when they are read back, hourly and by another process', async () => {
    // SEC-07, GB/T 22239 8.1.4.8
    const { token, bearer } = await signIn(await service.start(), doctor)
    const shown = { get: (name: string) => (name === 'authorization' ? bearer.Authorization : undefined) }
    const [row] = await service.db.all<{ secret: string }>('SELECT secret FROM account_key')
    expect(row?.secret).not.toMatch(/^[A-Za-z0-9+/]{43}=$/)
    await service.accounts.sweep()
    // A change of accounts makes the process look at the token anew.
    await service.accounts.ensure({ ...doctor, username: 'newcomer' })
    expect((await service.accounts.signedIn(shown))?.user.username).toBe('wang')
    const other = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log, vault })
    expect((await other.signedIn(shown))?.user.username).toBe('wang')
    expect(token).toContain('.')
  })
})
