import { reactive } from 'vue'
import type { PatientIdentity } from 'specs'

/** The patient somebody is looking for, as typed. Stays while the page moves from the search to the consent; never in an address. */
export interface PatientDraft {
  name: string
  idCard: string
  birthDate: string
  patientId: string
  byNumber: boolean
}

export const emptyPatient = (): PatientDraft => ({ name: '', idCard: '', birthDate: '', patientId: '', byNumber: false })
export const patientDraft = reactive(emptyPatient())

/** What is sent; undefined while something is missing. */
export function identityOf({ name, idCard, birthDate, patientId, byNumber }: PatientDraft): Partial<PatientIdentity> | undefined {
  const said = byNumber ? { ...(birthDate && { birthDate }), ...(patientId.trim() && { patientId: patientId.trim() }) } : { ...(idCard.trim() && { idCard: idCard.replace(/\s/g, '').toUpperCase() }) }
  if (name.trim().length < 2 || Object.keys(said).length === 0) return undefined
  return { name: name.trim(), ...said }
}
