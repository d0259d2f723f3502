/**
 * PS3.8 9.2: the state machine of the upper layer as data. Rows are the events of Table 9-10, columns its states; an
 * absent entry cannot happen, and is a bug of ours when it does. Actions (Tables 9-6 to 9-9) are carried out by
 * upper-layer.ts.
 */
export const states = {
  Sta1: 'idle',
  Sta2: 'transport connection open, awaiting A-ASSOCIATE-RQ',
  Sta3: 'awaiting our answer to A-ASSOCIATE-RQ',
  Sta4: 'awaiting the transport connection',
  Sta5: 'awaiting A-ASSOCIATE-AC or -RJ',
  Sta6: 'association established',
  Sta7: 'awaiting A-RELEASE-RP',
  Sta8: 'awaiting our answer to A-RELEASE-RQ',
  Sta9: 'release collision, requestor: awaiting our answer',
  Sta10: 'release collision, acceptor: awaiting A-RELEASE-RP',
  Sta11: 'release collision, requestor: awaiting A-RELEASE-RP',
  Sta12: 'release collision, acceptor: awaiting our answer',
  Sta13: 'awaiting the end of the transport connection',
} as const
export type State = keyof typeof states

/** What an action leads to (Tables 9-6 to 9-9). AE-6 leads to Sta13 when the request is refused at once; AR-8 depends on the side. */
export const nextState = {
  'AE-1': 'Sta4', // open the transport connection
  'AE-2': 'Sta5', // send A-ASSOCIATE-RQ
  'AE-3': 'Sta6', // tell the user: accepted
  'AE-4': 'Sta1', // tell the user: rejected; close
  'AE-5': 'Sta2', // start ARTIM
  'AE-6': 'Sta3', // stop ARTIM; tell the user: an association is requested
  'AE-7': 'Sta6', // send A-ASSOCIATE-AC
  'AE-8': 'Sta13', // send A-ASSOCIATE-RJ, start ARTIM
  'DT-1': 'Sta6', // send P-DATA-TF
  'DT-2': 'Sta6', // tell the user: data
  'AR-1': 'Sta7', // send A-RELEASE-RQ
  'AR-2': 'Sta8', // tell the user: release requested
  'AR-3': 'Sta1', // tell the user: released; close
  'AR-4': 'Sta13', // send A-RELEASE-RP, start ARTIM
  'AR-5': 'Sta1', // stop ARTIM
  'AR-6': 'Sta7', // tell the user: data
  'AR-7': 'Sta8', // send P-DATA-TF
  'AR-8': 'Sta10', // tell the user: release collision (requestor: Sta9)
  'AR-9': 'Sta11', // send A-RELEASE-RP
  'AR-10': 'Sta12', // tell the user: released by the other side
  'AA-1': 'Sta13', // send A-ABORT (service user), start ARTIM
  'AA-2': 'Sta1', // stop ARTIM; close
  'AA-3': 'Sta1', // tell the user: aborted; close
  'AA-4': 'Sta1', // tell the user: connection lost
  'AA-5': 'Sta1', // stop ARTIM
  'AA-6': 'Sta13', // ignore
  'AA-7': 'Sta13', // send A-ABORT
  'AA-8': 'Sta13', // send A-ABORT (service provider), tell the user, start ARTIM
} as const satisfies Record<string, State>
export type Action = keyof typeof nextState

type Row = Partial<Record<State, Action>>

/** The same unexpected PDU is answered the same way wherever an association exists or is being made. */
const unexpected = {
  Sta3: 'AA-8',
  Sta5: 'AA-8',
  Sta6: 'AA-8',
  Sta7: 'AA-8',
  Sta8: 'AA-8',
  Sta9: 'AA-8',
  Sta10: 'AA-8',
  Sta11: 'AA-8',
  Sta12: 'AA-8',
} as const satisfies Row
/** All states in which the user or the peer may abort, or the connection break. */
const associated = <A extends Action>(action: A) =>
  ({ Sta5: action, Sta6: action, Sta7: action, Sta8: action, Sta9: action, Sta10: action, Sta11: action, Sta12: action }) as const

export const table = {
  'A-ASSOCIATE request': { Sta1: 'AE-1' },
  'connection confirmed': { Sta4: 'AE-2' },
  'A-ASSOCIATE-AC': { ...unexpected, Sta2: 'AA-1', Sta5: 'AE-3', Sta13: 'AA-6' },
  'A-ASSOCIATE-RJ': { ...unexpected, Sta2: 'AA-1', Sta5: 'AE-4', Sta13: 'AA-6' },
  'connection indicated': { Sta1: 'AE-5' },
  'A-ASSOCIATE-RQ': { ...unexpected, Sta2: 'AE-6', Sta13: 'AA-7' },
  'accept response': { Sta3: 'AE-7' },
  'reject response': { Sta3: 'AE-8' },
  'P-DATA request': { Sta6: 'DT-1', Sta8: 'AR-7' },
  'P-DATA-TF': { ...unexpected, Sta2: 'AA-1', Sta6: 'DT-2', Sta7: 'AR-6', Sta13: 'AA-6' },
  'A-RELEASE request': { Sta6: 'AR-1' },
  'A-RELEASE-RQ': { ...unexpected, Sta2: 'AA-1', Sta6: 'AR-2', Sta7: 'AR-8', Sta13: 'AA-6' },
  'A-RELEASE-RP': { ...unexpected, Sta2: 'AA-1', Sta7: 'AR-3', Sta10: 'AR-10', Sta11: 'AR-3', Sta13: 'AA-6' },
  'release response': { Sta8: 'AR-4', Sta9: 'AR-9', Sta12: 'AR-4' },
  'A-ABORT request': { ...associated('AA-1'), Sta3: 'AA-1', Sta4: 'AA-2' },
  'A-ABORT': { ...associated('AA-3'), Sta2: 'AA-2', Sta3: 'AA-3', Sta13: 'AA-2' },
  'connection closed': { ...associated('AA-4'), Sta2: 'AA-5', Sta3: 'AA-4', Sta4: 'AA-4', Sta13: 'AR-5' },
  'ARTIM expired': { Sta2: 'AA-2', Sta13: 'AA-2' },
  'invalid PDU': { ...unexpected, Sta2: 'AA-1', Sta13: 'AA-7' },
} as const satisfies Record<string, Row>
export type Event = keyof typeof table

/** What to do when `event` happens in `state`, or undefined where Table 9-10 has no entry. */
export function actionFor(state: State, event: Event): Action | undefined {
  const row: Row = table[event]
  return row[state]
}

/** The state after `action`; `side` matters for a release collision alone. */
export function stateAfter(action: Action, side: 'requestor' | 'acceptor'): State {
  if (action === 'AR-8') return side === 'requestor' ? 'Sta9' : 'Sta10'
  return nextState[action]
}
