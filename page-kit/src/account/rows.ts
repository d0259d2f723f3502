import type { Right, Scope } from 'specs'

/** Rows of the identity API as the pages read them (docs/identity.md). */
export interface RoleAssignment {
  role: string
  scope: Scope
}
export interface Person {
  id: string
  username: string
  name: string
  title: string
  staffNumber: string | null
  department: string | null
  campus: string | null
  position: string
  phone: string | null
  validUntil: number | null
  idleMinutes: number | null
  state: 'active' | 'disabled' | 'expired' | 'locked'
  disabledReason: string
  roles: RoleAssignment[]
  groups: string[]
  requestedRoles: string[]
  secondFactors: ('totp' | 'webauthn')[]
  mustChangePassword: boolean
  lastUsedAt: number | null
  createdAt: number
}
export interface Role {
  id: string
  zh: string
  en: string
  rights: Right[]
  builtIn: boolean
  copyOf: string | null
  accounts: number
  groups: number
}
export interface ProgramKey {
  id: string
  description: string
  expiresAt: number | null
  createdAt: number
  lastUsedAt: number | null
}
export interface Group {
  id: string
  name: string
  description: string
  roles: RoleAssignment[]
  members: string[]
}
export interface Unit {
  id: string
  name: string
  position: number
  campus?: string | null
}
export interface Organisation {
  campuses: Unit[]
  departments: Unit[]
  areas: Unit[]
}
export interface SessionRow {
  id: string
  accountId: string
  username: string
  name: string
  createdAt: number
  lastActiveAt: number
  expiresAt: number
  address: string
  device: string
  authMethod: string
  strong: boolean
  current: boolean
}
