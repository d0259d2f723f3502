import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { kekSourceOf, openDatabase, Vault, type Database } from 'service-kit'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { forgetPseudonyms, keyOfProject, openProject, pseudonymOf, reidentify, shiftOf, uidOf, type Original } from './project.ts'
import { exportMigrations, sealedExports } from './tables.ts'

let folder: string
let db: Database
let vault: Vault
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'export-'))
  db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'node.sqlite') })
  await db.migrate('export', exportMigrations)
  vault = await Vault.open({ db, kek: kekSourceOf({ keyFile: join(folder, 'kek') }) })
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true, force: true })
})

const someone = (patientId: string, changes: Partial<Original> = {}): Original => ({ patientId, patientName: '张秀兰', studyInstanceUid: null, accessionNumber: null, ...changes })
const project = (name: string, exportId: string = crypto.randomUUID()) => openProject(db, vault, name, { exportId, accountId: 'u1', now: 1 })
const patient = async (name: string, patientId: string) => pseudonymOf(db, vault, await project(name), 'patient', someone(patientId), 1)

describe('names in a project', () => {
  it('are the same each time, and nothing to those of another project', async () => {
    // SEC-06
    expect([await patient('研究', 'P1'), await patient('研究', 'P2'), await patient('研究', 'P1'), await patient('另一', 'P2')]).toEqual(['PAT-000001', 'PAT-000002', 'PAT-000001', 'PAT-000001'])
    const [a, again, b] = [await project('研究'), await project('研究'), await project('另一')]
    expect([uidOf(a, '1.2.3'), shiftOf(a, 'P1')]).toEqual([uidOf(again, '1.2.3'), shiftOf(again, 'P1')])
    expect(uidOf(a, '1.2.3')).not.toBe(uidOf(b, '1.2.3'))
    expect(uidOf(a, '1.2.3')).not.toBe(uidOf(a, '1.2.4'))
    expect(uidOf(a, '1.2.3')).toMatch(/^2\.25\.[1-9]\d{30,38}$/)
    for (const id of ['P1', 'P2', 'P3']) expect(shiftOf(a, id)).toSatisfy((days: number) => days <= -1 && days >= -1_461)
  })
  it('are a project of its own for each export that names none', async () => {
    const [first, second] = [await project('', 'e1'), await project('', 'e2')]
    expect([first.projectId, second.projectId]).toEqual(['e1', 'e2'])
    expect(uidOf(first, '1.2.3')).not.toBe(uidOf(second, '1.2.3'))
  })
  it('stay one to one when many ask at once', async () => {
    const key = await project('研究')
    const ids = Array.from({ length: 20 }, (_each, at) => `P${at % 10}`)
    const given = await Promise.all(ids.map((id) => pseudonymOf(db, vault, key, 'patient', someone(id), 1)))
    expect(new Set(given).size).toBe(10)
    expect(given.slice(0, 10)).toEqual(given.slice(10))
  })
  it('give two studies without a patient’s number to two patients', async () => {
    const key = await project('研究')
    const of = (study: string) => pseudonymOf(db, vault, key, 'patient', someone('', { studyInstanceUid: study }), 1)
    expect(await of('2.25.1')).not.toBe(await of('2.25.2'))
  })
  it('lead back to the patient through the vault alone', async () => {
    await patient('研究', 'P1')
    const { projectId } = await project('研究')
    expect(await reidentify(db, vault, projectId, 'PAT-000001')).toEqual({ pseudonym: 'PAT-000001', ...someone('P1') })
    await expect(reidentify(db, vault, projectId, 'ST-000001')).rejects.toMatchObject({ code: 'export/pseudonym-unknown' })
    const rows = JSON.stringify(await db.all('SELECT * FROM export_pseudonym')) + JSON.stringify(await db.all('SELECT * FROM export_project'))
    expect(rows).not.toMatch(/P1|张秀兰/)
  })
  it('stand for nobody any more when the exam is destroyed, and the patient with the last of them', async () => {
    // LOC-06
    await db.run('CREATE TABLE exam (exam_id TEXT PRIMARY KEY, patient_id TEXT NOT NULL)')
    await db.run(`INSERT INTO exam (exam_id, patient_id) VALUES ('e2', 'P1')`)
    const key = await project('研究')
    const exam = (study: string) => pseudonymOf(db, vault, key, 'study', someone('P1', { studyInstanceUid: study, accessionNumber: 'A' }), 1)
    expect([await patient('研究', 'P1'), await patient('另一', 'P1'), await patient('研究', 'P2'), await exam('2.25.1'), await exam('2.25.2')]).toEqual(['PAT-000001', 'PAT-000001', 'PAT-000002', 'ST-000001', 'ST-000002'])
    const destroy = (study: string) => db.write((tx) => forgetPseudonyms(tx, vault, { study, patientId: 'P1' }))
    expect(await destroy('2.25.1')).toBe(1)
    await expect(reidentify(db, vault, key.projectId, 'ST-000001')).rejects.toMatchObject({ code: 'export/pseudonym-unknown' })
    expect((await reidentify(db, vault, key.projectId, 'PAT-000001')).patientId).toBe('P1')
    await db.run('DELETE FROM exam')
    expect(await destroy('2.25.2')).toBe(3)
    await expect(reidentify(db, vault, key.projectId, 'PAT-000001')).rejects.toMatchObject({ code: 'export/pseudonym-unknown' })
    expect((await reidentify(db, vault, key.projectId, 'PAT-000002')).patientId).toBe('P2')
    // Its number is not given to somebody else, nor to the same person again.
    expect([await exam('2.25.3'), await patient('另一', 'P1')]).toEqual(['ST-000003', 'PAT-000002'])
  })
  it('are re-sealed where they say they are', async () => {
    await patient('研究', 'P1')
    for (const { table, key, column, context } of sealedExports)
      for (const row of await db.all<{ id: string; sealed: string }>(`SELECT ${key} AS "id", ${column} AS "sealed" FROM ${table}`)) expect(vault.open(row.sealed, context(row.id))).not.toBe('')
    await expect(keyOfProject(db, vault, 'nobody')).rejects.toMatchObject({ code: 'export/unknown' })
  })
})
