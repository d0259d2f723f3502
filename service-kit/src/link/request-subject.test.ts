import { HUB, parseHospitalId, RegionId, subjects } from 'specs'
import { describe, expect, it } from 'vitest'
import { parseRequestSubject } from './request-subject.ts'

const region = RegionId.parse('yunling')
const [a, b] = [parseHospitalId('hospital-a'), parseHospitalId('hospital-b')]

describe('the subject of a request', () => {
  it('names the asker and the service, at the hub and at a node', () => {
    expect(parseRequestSubject(region, HUB, subjects.hubRequest(region, a, 'sync'))).toEqual({ from: a, service: 'sync' })
    expect(parseRequestSubject(region, b, subjects.nodeRequest(region, b, a, 'transfer.open'))).toEqual({
      from: a,
      service: 'transfer.open',
    })
    expect(parseRequestSubject(region, b, subjects.nodeRequest(region, b, HUB, 'sync'))).toEqual({ from: HUB, service: 'sync' })
  })

  it('of another receiver, another region or another form names nobody', () => {
    expect(parseRequestSubject(region, a, subjects.nodeRequest(region, b, a, 'sync'))).toBeUndefined()
    expect(parseRequestSubject(RegionId.parse('other'), b, subjects.nodeRequest(region, b, a, 'sync'))).toBeUndefined()
    expect(parseRequestSubject(region, b, `region.${region}.${b}.msg`)).toBeUndefined()
    expect(parseRequestSubject(region, b, `region.${region}.${b}.req.Not_A_Party.sync`)).toBeUndefined()
  })
})
