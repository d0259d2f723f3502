import { describe, expect, it } from 'vitest'
import type { ConsultRow } from 'specs'
import { imagesPercent, rightsOf } from './consult-step.ts'

const chen = { id: 'chen', hospitalId: 'hospital-c', expert: true, doctor: false }
const held = (userId: string, hospitalId = 'hospital-c') => ({ userId, hospitalId, name: userId, since: 1 }) as unknown as ConsultRow['holder']
const none = { held: 0, total: 60, state: 'none' } as const

describe('what an expert may press', () => {
  it('offers an open case for acceptance', () => { // CON-11
    expect(rightsOf({ side: 'processor', state: 'submitted', holder: null, pending: null, images: none }, chen)).toMatchObject({ claim: true, read: false, heldByOther: false })
  })
  it('lets only look when a colleague of another hospital holds it, even with the same user id', () => { // COR-15
    expect(rightsOf({ side: 'processor', state: 'accepted', holder: held('chen', 'hospital-b'), pending: null, images: none }, chen)).toMatchObject({ read: false, release: false, view: false, heldByOther: true })
  })
  it('lets the holder read and release', () => {
    expect(rightsOf({ side: 'processor', state: 'started', holder: held('chen'), pending: null, images: none }, chen)).toMatchObject({ read: true, release: true, claim: false })
  })
  it('waits for the answer to a command before offering another', () => {
    expect(rightsOf({ side: 'processor', state: 'submitted', holder: null, pending: 'claim', images: none }, chen).claim).toBe(false)
  })
  it('offers to bring images here that are not here yet, unless a colleague works on the case', () => { // CON-13
    expect(rightsOf({ side: 'processor', state: 'submitted', holder: null, pending: null, images: none }, chen).fetch).toBe(true)
    expect(rightsOf({ side: 'processor', state: 'submitted', holder: null, pending: null, images: { ...none, state: 'running' } }, chen).fetch).toBe(false)
    expect(rightsOf({ side: 'processor', state: 'started', holder: held('zhao'), pending: null, images: none }, chen).fetch).toBe(false)
  })
})

describe('what the submitter may press', () => {
  it('can cancel before the opinion is signed and not after', () => { // CON-20
    const wang = { id: 'wang', hospitalId: 'hospital-a', expert: false, doctor: true }
    expect(rightsOf({ side: 'submitter', state: 'started', holder: held('chen'), pending: null, images: none }, wang).cancel).toBe(true)
    expect(rightsOf({ side: 'submitter', state: 'signed', holder: held('chen'), pending: null, images: none }, wang).cancel).toBe(false)
  })
})

it('never shows more than all images', () => expect(imagesPercent({ held: 3, total: 2, state: 'complete' })).toBe(100))
