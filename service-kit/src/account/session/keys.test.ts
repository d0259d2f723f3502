import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Secret, TOTP } from 'otpauth'
import { nodeRoles, type AuditEvent } from 'specs'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { aService, doctor, signIn, type TestService } from '../../../tests/support/service.ts'
import { createAccounts } from '../accounts.ts'
import type { AuditTrail } from '../../audit/index.ts'
import { openDatabase, type Database } from '../../database/index.ts'
import { kekSourceOf, Resealing, Vault } from '../../vault/index.ts'
import { secretsOf, type Ground } from '../ground.ts'
import { sealedAccountColumns } from '../sealed-columns.ts'
import { Totp } from '../second-factor/totp.ts'
import { SessionTokens } from './token.ts'

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
  it('are nobody’s when somebody who can write the database puts one there, and removed, while real sessions go on', async () => {
    // SEC-07, GB/T 22239 8.1.4.7, 8.1.4.8
    const url = await service.start()
    const { bearer } = await signIn(url, doctor)
    const [genuine] = await service.db.all<{ id: string; secret: string }>('SELECT id, secret FROM account_key')
    const secret = Buffer.alloc(32, 7)
    const forms = { plain: secret.toString('base64'), prefixed: `clear:${secret.toString('base64')}`, moved: genuine!.secret }
    for (const [id, kept] of Object.entries(forms)) await service.db.run('INSERT INTO account_key (id, secret, created_at) VALUES ($1, $2, $3)', [id, kept, 4_000_000_000_000])
    const session = await service.db.get<{ id: string }>('SELECT id FROM account_session')
    const told: AuditEvent[] = []
    const audit = { record: () => Promise.resolve(), within: (_tx: unknown, event: AuditEvent) => Promise.resolve(void told.push(event)) }
    const other = await createAccounts({ db: service.db, party: 'hospital-a', roles: nodeRoles, log: service.face.log, vault, audit: audit as unknown as AuditTrail })
    const good = Date.now() + 3_600_000
    const forger = (id: string) => new SessionTokens([{ id, secret: secret.toString('base64'), createdAt: 0 }], 'hospital-a', () => Promise.reject(new Error('not asked')))
    const forged = await Promise.all(Object.keys(forms).map((id) => forger(id).sign({ id: session!.id, accountId: 'any', expiresAt: good }, Date.now())))
    for (const token of forged) await expect(other.signedIn({ get: (name: string) => (name === 'authorization' ? `Bearer ${token}` : undefined) })).rejects.toMatchObject({ code: 'access/not-signed-in' })
    expect((await service.db.all<{ id: string }>('SELECT id FROM account_key')).map(({ id }) => id)).toEqual([genuine!.id])
    expect(told.map(({ action, outcome, object }) => [action, outcome, object?.id]).sort()).toEqual(Object.keys(forms).sort().map((id) => ['key.use', 'refused', id]))
    expect((await other.signedIn({ get: (name: string) => (name === 'authorization' ? bearer.Authorization : undefined) }))?.sessionId).toBe(session!.id)
  })

  it('and second factors: one that stands in clear proves nothing, and re-sealing does not make it genuine', async () => {
    // SEC-07, GB/T 22239 8.1.4.1 d
    await service.start()
    const account = await service.db.get<{ id: string }>(`SELECT id FROM account WHERE username = 'admin'`)
    const planted = new Secret({ size: 20 })
    await service.db.run(`INSERT INTO second_factor (id, account_id, kind, name, data, used_step, created_at) VALUES ('f', $1, 'totp', 'app', $2, 0, 0)`, [account!.id, `clear:${planted.base32}`])
    const totp = new Totp({ db: service.db, now: Date.now, secrets: secretsOf(vault) } as Ground)
    const code = new TOTP({ secret: planted }).generate()
    await expect(totp.use(account!.id, code)).rejects.toMatchObject({ code: 'vault/unreadable' })
    const resealing = new Resealing({ db: service.db, vault, columns: sealedAccountColumns, log: service.face.log })
    resealing.start()
    await vi.waitFor(() => expect(resealing.progress.state).toBe('done'))
    await expect(totp.use(account!.id, code)).rejects.toMatchObject({ code: 'vault/unreadable' })
  })
})
