import type { Right } from 'specs'
import type { SecurityItem } from './SecurityFrame.vue'

/** Pages that every service with accounts has: a node and the hub alike. */
export const sharedItems = {
  overview: { path: '/security/overview', title: 'posture.title', group: 'sec.title', rights: ['security.overview'] },
  people: { path: '/security/people', title: 'person.title', group: 'sec.people', rights: ['account.manage', 'role.manage'] },
  groups: { path: '/security/groups', title: 'group.title', group: 'sec.people', rights: ['role.manage', 'account.manage'] },
  roles: { path: '/security/roles', title: 'role.title', group: 'sec.people', rights: ['role.manage', 'account.manage'] },
  organisation: { path: '/security/organisation', title: 'organisation.title', group: 'sec.people', rights: ['organisation.manage'] },
  sessions: { path: '/security/sessions', title: 'session.title', group: 'sec.people', rights: ['account.manage'] },
  programs: { path: '/security/programs', title: 'program.title', group: 'sec.people', rights: ['account.manage', 'role.manage'] },
  audit: { path: '/security/audit', title: 'audit.title', group: 'sec.audit', rights: ['audit.read'] },
} as const satisfies Record<string, SecurityItem>

/** Every right that opens one of these pages. */
export const rightsOfItems = (items: readonly SecurityItem[]): Right[] => [...new Set(items.flatMap(({ rights }) => rights))]

/** The pages behind them, for a router. */
export const sharedPages = [
  { path: 'people', component: () => import('../account/PeoplePage.vue') },
  { path: 'groups', component: () => import('../account/GroupsPage.vue') },
  { path: 'roles', component: () => import('../account/RolesPage.vue') },
  { path: 'organisation', component: () => import('../account/OrganisationPage.vue') },
  { path: 'sessions', component: () => import('../account/SessionsPage.vue') },
  { path: 'programs', component: () => import('../account/ProgramsPage.vue') },
]
