import { describe, expect, it } from 'vitest'
import { HospitalId, UserId, type ConsultDetail } from 'specs'
import { abilitiesOf, mustMarkRead, mustStart, type Reader } from './abilities.ts'

type Task = Pick<ConsultDetail, 'side' | 'state' | 'holder' | 'pending'>
const me: Reader = { userId: 'li', hospitalId: 'hospital-c', rights: ['consult.process'] }
const holder = (userId: string) => ({ hospitalId: HospitalId.parse('hospital-c'), userId: UserId.parse(userId), name: '李专家', since: 1 })
const aTask = (change: Partial<Task> = {}): Task => ({ side: 'processor', state: 'submitted', holder: null, pending: null, ...change })

describe('what an expert may do with a consultation', () => {
  it('takes an open case, writes only once it is held', () => {
    // CON-09
    expect(abilitiesOf(aTask(), me)).toMatchObject({ claim: true, write: false, release: false })
    expect(abilitiesOf(aTask({ state: 'accepted', holder: holder('li') }), me)).toMatchObject({ claim: false, write: true, release: true })
  })

  it('sees that somebody else holds the case and cannot write', () => {
    // COR-15
    expect(abilitiesOf(aTask({ state: 'started', holder: holder('wang') }), me)).toMatchObject({
      write: false,
      heldByOther: true,
      release: false,
    })
  })

  it('does not press twice while the hub has not answered', () => {
    expect(abilitiesOf(aTask({ pending: 'claim' }), me).claim).toBe(false)
  })

  it('cannot act on the submitter side or without the role of an expert', () => {
    expect(abilitiesOf(aTask({ side: 'submitter' }), me).claim).toBe(false)
    expect(abilitiesOf(aTask(), { ...me, rights: ['consult.apply'] as const }).claim).toBe(false)
  })

  it('says that reading began once, and that the opinion was read once', () => {
    expect(mustStart(aTask({ state: 'accepted', holder: holder('li') }), me)).toBe(true)
    expect(mustStart(aTask({ state: 'started', holder: holder('li') }), me)).toBe(false)
    const doctor = { ...me, rights: ['consult.apply'] as const }
    const opinion = { kind: 'opinion' } as ConsultDetail['opinion']
    expect(mustMarkRead({ ...aTask({ side: 'submitter', state: 'returned' }), opinion }, doctor)).toBe(true)
    expect(mustMarkRead({ ...aTask({ side: 'submitter', state: 'read' }), opinion }, doctor)).toBe(false)
  })
})
