import type { User } from 'service-kit'
import type { DicomPermission, ExamLabel, Right, Scope } from 'specs'
import type { Subject } from './decide-exam.ts'

/** As much of a signed-in user as access depends on. */
export type Person = Pick<User, 'id' | 'entitlements' | 'department' | 'campus' | 'groups'>

const clearances = [
  ['label.vip', 'vip'],
  ['label.cadre', 'cadre'],
  ['label.staff', 'staff'],
  ['label.classified', 'classified'],
] as const satisfies readonly (readonly [Right, ExamLabel])[]

/** A person or an interface of the hospital, with what each of its roles gives and where. */
export function subjectOf(person: Person): Subject {
  const keys = new Set(['everybody', `user:${person.id}`, ...(person.groups ?? []).map((group) => `group:${group}`)])
  const scopes = new Map<Right, Scope[]>()
  for (const { role, group, rights, scope } of person.entitlements) {
    keys.add(`role:${role}`)
    if (group !== undefined) keys.add(`group:${group}`)
    for (const right of rights) {
      const known = scopes.get(right)
      if (known) known.push(scope)
      else scopes.set(right, [scope])
    }
  }
  const clearance = new Set(clearances.flatMap(([right, label]) => (scopes.has(right) ? [label] : [])))
  return { id: person.id, keys, scopes, department: person.department ?? '', clearance }
}

/** What one registration of a DICOM node permits, and with which exams. */
export interface DeviceEntry {
  readonly permissions: readonly DicomPermission[]
  readonly scope: Scope
  readonly labels: readonly ExamLabel[]
}
/** An AE title may be registered for several addresses; whoever calls by it may do what any of them may. */
export type DeviceRights = readonly DeviceEntry[]

const ofPermission: Readonly<Record<DicomPermission, Right>> = { store: 'image.store', query: 'exam.list', retrieve: 'image.view', worklist: 'exam.register' }

/** A DICOM node of the house, known by its AE title. */
export function deviceSubject(aeTitle: string, device: DeviceRights): Subject {
  const scopes = new Map<Right, Scope[]>()
  for (const { permissions, scope } of device)
    for (const permission of permissions) scopes.set(ofPermission[permission], [...(scopes.get(ofPermission[permission]) ?? []), scope])
  const clearance = new Set(device.flatMap(({ labels }) => labels))
  return { id: aeTitle, keys: new Set(['everybody', `dicom-node:${aeTitle}`]), scopes, department: '', clearance }
}
