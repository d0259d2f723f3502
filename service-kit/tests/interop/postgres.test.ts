import { Buffer } from 'node:buffer'
import { hubRoles } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databaseContract } from '../../src/database/database.contract.ts'
import { createAccounts, createLog, openDatabase } from '../../src/index.ts'
import { startPostgres, type TestPostgres } from '../support/postgres.ts'

let postgres: TestPostgres
let schemas = 0
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres.stop())

databaseContract('PostgreSQL', async () => {
  const schema = `contract_${++schemas}`
  return { open: () => openDatabase({ dialect: 'postgres', url: postgres.url, schema }), drop: () => Promise.resolve() }
})

describe('a PostgreSQL database', () => {
  it('keeps services apart by schema', async () => {
    // ARC-09
    const url = await postgres.newDatabase()
    const [hub, node] = await Promise.all(['hub', 'node'].map((schema) => openDatabase({ dialect: 'postgres', url, schema })))
    await hub?.run('CREATE TABLE t (x TEXT)')
    await node?.run('CREATE TABLE t (x TEXT)')
    await hub?.run("INSERT INTO t VALUES ('hub')")
    expect(await node?.all('SELECT x FROM t')).toEqual([])
    await hub?.close()
    await node?.close()
  })

  it('says at the start that it cannot be reached or does not know us', async () => {
    await expect(openDatabase({ dialect: 'postgres', url: 'postgres://u:p@127.0.0.1:1/x' })).rejects.toMatchObject({ kind: 'unavailable' })
    const wrong = postgres.url.replace(/lianpian:[^@]+/, 'lianpian:wrong')
    const refused = await openDatabase({ dialect: 'postgres', url: wrong }).catch((error: unknown) => error)
    expect(refused).toMatchObject({ code: '28P01' })
  })

  it('holds accounts and sessions that several processes share', async () => {
    const url = await postgres.newDatabase()
    const log = createLog({ name: 'test', level: 'silent' })
    const processes = await Promise.all(
      [1, 2].map(async () => {
        const db = await openDatabase({ dialect: 'postgres', url, schema: 'hub' })
        return { db, accounts: await createAccounts({ db, party: 'hub', roles: hubRoles, log }) }
      }),
    )
    const [one, two] = processes
    const admin = { username: 'admin', password: 'a long password', name: '管理员', roles: ['region-admin'] }
    await Promise.all([one?.accounts.ensure(admin), two?.accounts.ensure(admin)])
    const session = await one?.accounts.signIn('admin', admin.password, { address: '10.0.0.1', device: 'test' })
    if (session === undefined || 'ticket' in session) throw new Error('not signed in')
    const shown = { get: (name: string) => (name === 'authorization' ? `Bearer ${session.token}` : undefined) }
    const seen = await two?.accounts.signedIn(shown)
    expect(seen?.user).toEqual(session.user)
    await one?.accounts.signOut(seen?.sessionId ?? '')
    // SEC-01: at the next request, also in another process
    await expect(two?.accounts.signedIn(shown)).rejects.toMatchObject({ code: 'access/not-signed-in' })
    for (const { db } of processes) await db.close()
  })

  it('holds people, roles, groups, factors and locks as SQLite does', async () => {
    // SEC-01, SEC-07, SEC-13
    const url = await postgres.newDatabase()
    const db = await openDatabase({ dialect: 'postgres', url, schema: 'hub' })
    let now = Date.now()
    const accounts = await createAccounts({ db, party: 'hub', roles: hubRoles, log: createLog({ name: 'test', level: 'silent' }), now: () => now, identity: { lockOut: { failures: 2 } } })
    const password = 'Zk4-bT9x-p'
    for (const [username, role] of [['keeper', 'region-admin'], ['security', 'security-admin']] as const) await accounts.ensure({ username, password, name: username, roles: [role] })
    const origin = { address: '10.0.0.1', device: 'test' }
    const who = async (username: string) => {
      const session = await accounts.signIn(username, password, origin)
      if ('ticket' in session) throw new Error('not signed in')
      return session
    }
    const [keeper, security] = [await who('keeper'), await who('security')]
    await accounts.organisation.save('campuses', { id: 'main', name: '总院', campus: null, position: 1 })
    await accounts.organisation.save('areas', { id: '总院超声', name: '总院超声', campus: 'main', position: 1 })
    const table = Buffer.from('用户名,姓名,院区,角色\nsun,孙丽,总院,观察员\n')
    const [handedOut] = await accounts.staffImport.commit(keeper.user, table)
    const [sun] = await accounts.people.list({ waiting: true })
    expect(sun).toMatchObject({ username: 'sun', campus: 'main', requestedRoles: ['observer'] })
    const group = await accounts.groups.create(security.user, { name: '值班', description: '', roles: [{ role: 'observer', scope: { areas: ['总院超声'] } }], members: [sun?.id ?? ''] })
    const session = await accounts.signIn('sun', handedOut?.initialPassword ?? '', origin)
    if ('ticket' in session) throw new Error('not signed in')
    expect(session.user.entitlements).toEqual([{ role: 'observer', group: group.id, rights: ['region.watch'], scope: { areas: ['总院超声'] } }])
    await expect(accounts.people.disable(keeper.user.id, security.user.id, 'x')).rejects.toMatchObject({ code: 'access/last-administrator' })
    await accounts.passwords.changeOwn(sun?.id ?? '', handedOut?.initialPassword ?? '', password, session.id)
    await accounts.factors.add(session.user, { kind: 'totp', name: '手机', data: 'JBSWY3DPEHPK3PXP', usedStep: 0 })
    expect(await accounts.signIn('sun', password, origin)).toMatchObject({ secondFactorNeeded: ['totp', 'recovery'] })
    for (const guess of ['a', 'b']) await accounts.signIn('nobody', guess, origin).catch(() => undefined)
    await expect(accounts.signIn('nobody', 'c', origin)).rejects.toMatchObject({ code: 'access/locked' })
    await accounts.rotateSessionKey()
    now += 16 * 60_000
    await accounts.sweep()
    expect(await accounts.sessions.list()).toEqual([])
    await db.close()
  })

  it('serves again after it was killed and has recovered, with everything that was acknowledged', async () => {
    // AGT-15
    const url = await postgres.newDatabase()
    const db = await openDatabase({ dialect: 'postgres', url })
    await db.run('CREATE TABLE t (x BIGINT)')
    for (let i = 0; i < 20; i++) await db.write((tx) => tx.run('INSERT INTO t VALUES ($1)', [i]))
    await postgres.kill()
    await expect(db.write((tx) => tx.run('INSERT INTO t VALUES (99)'))).rejects.toMatchObject({ kind: 'unavailable' })
    await postgres.restart()
    await expect.poll(() => db.get('SELECT COUNT(*) AS "count" FROM t').catch(() => undefined), { timeout: 10_000 }).toEqual({ count: 20 })
    await db.close()
  })
})
