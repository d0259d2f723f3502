import { describe, expect, it } from 'vitest'
import { actionFor, type Event, nextState, type State, stateAfter, states, table } from './state-table.ts'

const entries = Object.entries(table).flatMap(([event, row]) =>
  Object.entries(row).map(([state, action]) => ({ event: event as Event, state: state as State, action })),
)

describe('the state table of PS3.8', () => {
  // ARC-02
  it('has as many entries as Table 9-10', () => {
    // Per event 1 to 19, counted in PS3.8 Table 9-10.
    const perEvent = Object.fromEntries(Object.entries(table).map(([event, row]) => [event, Object.keys(row).length]))
    expect(perEvent).toEqual({
      'A-ASSOCIATE request': 1,
      'connection confirmed': 1,
      'A-ASSOCIATE-AC': 11,
      'A-ASSOCIATE-RJ': 11,
      'connection indicated': 1,
      'A-ASSOCIATE-RQ': 11,
      'accept response': 1,
      'reject response': 1,
      'P-DATA request': 2,
      'P-DATA-TF': 11,
      'A-RELEASE request': 1,
      'A-RELEASE-RQ': 11,
      'A-RELEASE-RP': 11,
      'release response': 3,
      'A-ABORT request': 10,
      'A-ABORT': 11,
      'connection closed': 12,
      'ARTIM expired': 2,
      'invalid PDU': 11,
    })
  })

  it('can reach every state from idle, and idle from every state', () => {
    const steps = (from: State): State[] =>
      entries
        .filter(({ state }) => state === from)
        .flatMap(({ action }) => [stateAfter(action, 'requestor'), stateAfter(action, 'acceptor')])
    const reachable = (start: State): Set<State> => {
      const seen = new Set<State>([start])
      for (const state of seen) for (const next of steps(state)) seen.add(next)
      return seen
    }
    for (const state of Object.keys(states) as State[]) {
      expect(reachable('Sta1')).toContain(state)
      expect(reachable(state)).toContain('Sta1')
    }
  })

  it('uses every action', () => {
    expect(new Set(entries.map(({ action }) => action))).toEqual(new Set(Object.keys(nextState)))
  })

  it.each([
    ['Sta2', 'A-ASSOCIATE-RQ', 'AE-6'],
    ['Sta2', 'invalid PDU', 'AA-1'],
    ['Sta6', 'A-ASSOCIATE-RQ', 'AA-8'],
    ['Sta6', 'A-RELEASE-RQ', 'AR-2'],
    ['Sta7', 'P-DATA-TF', 'AR-6'],
    ['Sta7', 'A-RELEASE-RQ', 'AR-8'],
    ['Sta10', 'A-RELEASE-RP', 'AR-10'],
    ['Sta13', 'connection closed', 'AR-5'],
  ] as const)('in %s answers %s with %s', (state, event, action) => {
    expect(actionFor(state, event)).toBe(action)
  })

  it('tells requestor and acceptor apart in a release collision', () => {
    expect(stateAfter('AR-8', 'requestor')).toBe('Sta9')
    expect(stateAfter('AR-8', 'acceptor')).toBe('Sta10')
  })
})
