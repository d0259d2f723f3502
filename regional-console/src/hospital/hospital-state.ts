import type { HospitalRow } from 'specs'

export type HospitalState = 'online' | 'offline' | 'notJoined' | 'revoked'

/** One word for how a hospital stands to the region; revocation outranks everything. */
export function hospitalState(hospital: Pick<HospitalRow, 'joined' | 'revoked' | 'online'>): HospitalState {
  if (hospital.revoked) return 'revoked'
  if (!hospital.joined) return 'notJoined'
  return hospital.online ? 'online' : 'offline'
}
