import type { HospitalConfig, HospitalRow, JoinCode, LinkStatus } from 'specs'
import type { ApiUser } from './api.ts'

/**
 * Registers a hospital at the hub and lets its node join by a one-time code. Repeating it changes nothing.
 * @param hubUrl as the node reaches the hub.
 * @returns whether it joined now.
 */
export async function joinHospital(hubAdmin: ApiUser, nodeAdmin: ApiUser, hospital: Readonly<Record<keyof HospitalConfig, unknown>> & { readonly id: string }, hubUrl: string): Promise<boolean> {
  const known = (await hubAdmin.get<HospitalRow[]>('/api/hospitals')).find(({ id }) => id === hospital.id)
  if (!known) await hubAdmin.send('POST', '/api/hospitals', hospital)
  if (known?.joined) return false
  const { code } = await hubAdmin.send<JoinCode>('POST', `/api/hospitals/${hospital.id}/join-code`)
  await nodeAdmin.send<LinkStatus>('PUT', '/api/link', { hubUrl, joinCode: code })
  return true
}
