import { describe, expect, it } from 'vitest'
import { judge, type PostureFacts } from './judge.ts'

const now = 1_800_000_000_000
const DAY = 86_400_000
const well: PostureFacts = {
  posture: { secondFactor: 'administrators', administrators: 3, withoutFactor: [], unused: [], locked: [], waiting: 0, failedSignIns: 2, verification: { state: 'whole', at: now - DAY }, lastBackupAt: now - DAY },
  audit: undefined,
  certificateExpires: now + 300 * DAY,
  certificates: undefined,
  glasses: ['reviewed'],
  place: { encrypted: true, local: false },
  now,
}
const levels = (facts: PostureFacts) => Object.fromEntries(judge(facts).map(({ key, level }) => [key, level]))

describe('the security overview', () => {
  it('says that all is well when it is', () => {
    // SEC-01
    expect(new Set(Object.values(levels(well)))).toEqual(new Set(['good']))
  })
  it('names who has no second factor, and how many emergencies wait', () => {
    const found = judge({ ...well, posture: { ...well.posture, withoutFactor: ['云溪管理员'] }, glasses: ['open', 'unreviewed', 'reviewed'] })
    expect(found.find(({ key }) => key === 'factor')).toEqual({ key: 'factor', level: 'warn', n: 1, names: ['云溪管理员'] })
    expect(found.find(({ key }) => key === 'breakGlass')).toMatchObject({ level: 'warn', n: 2 })
  })
  it('puts what is bad first: no encryption from elsewhere, a tampered trail, no backup', () => {
    const found = judge({ ...well, posture: { ...well.posture, verification: { state: 'findings', at: now }, lastBackupAt: null }, place: { encrypted: false, local: false } })
    expect(found.filter(({ level }) => level === 'bad').map(({ key }) => key).sort()).toEqual(['backup', 'tls', 'verified'])
    expect(found[0]?.level).toBe('bad')
  })
  it('warns of a verification and a backup that are old', () => {
    expect(levels({ ...well, posture: { ...well.posture, verification: { state: 'whole', at: now - 40 * DAY }, lastBackupAt: now - 9 * DAY } })).toMatchObject({ verified: 'warn', backup: 'warn' })
  })
  it('tells what the region’s authority needs in time: a longer life, hospitals that come over, a reload of nats-server', () => {
    // SEC-11
    const certificates = { expiring: 0, expired: 0, authorityExpires: now + 3_000 * DAY, onFormerAuthority: 0, nats: { expires: now + 300 * DAY, waitsForReload: false } }
    expect(levels({ ...well, certificates })).toMatchObject({ authority: 'good', nats: 'good' })
    expect(levels({ ...well, certificates: { ...certificates, nats: null } })).not.toHaveProperty('nats')
    const late = { ...certificates, authorityExpires: now + 700 * DAY, onFormerAuthority: 2, nats: { expires: now + 80 * DAY, waitsForReload: true } }
    expect(levels({ ...well, certificates: late })).toMatchObject({ authority: 'warn', rollover: 'warn', natsReload: 'warn' })
    expect(levels({ ...well, certificates: { ...late, nats: { expires: now - DAY, waitsForReload: true } } })).toMatchObject({ natsReload: 'bad' })
  })
})
