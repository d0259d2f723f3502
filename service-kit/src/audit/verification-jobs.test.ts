import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createLog } from '../log/index.ts'
import { AuditConfig } from './config.ts'
import { Trail } from './trail.ts'
import { VerificationJobs } from './verification-jobs.ts'

it('can be started again after a start that the database refused', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lianpian-verification-'))
  const database = { dialect: 'sqlite', file: join(folder, 'audit.sqlite') } as const
  const trail = await Trail.open({ database, settings: AuditConfig.parse({}), party: 'yunxi', keyFolder: join(folder, 'keys'), callers: [], log: createLog({ name: 'test', level: 'silent' }) })
  const jobs = new VerificationJobs(trail)
  const input = { startedBy: '审计员', witnesses: [] }
  try {
    await trail.db.run('ALTER TABLE audit_verification RENAME TO away')
    await expect(jobs.start(input)).rejects.toThrow('audit_verification')
    await trail.db.run('ALTER TABLE away RENAME TO audit_verification')
    expect(await jobs.start(input)).toMatchObject({ startedBy: '审计员' })
  } finally {
    await jobs.close()
    await trail.close()
    await rm(folder, { recursive: true })
  }
})
