import type { Component } from 'vue'
import type { Right } from 'specs'
import SecurityStart from './FirstItem.vue'
import SecurityFrame, { type SecurityItem } from './SecurityFrame.vue'

/** A page of the security centre together with what opens it. */
export interface CentrePage extends SecurityItem {
  readonly page: () => Promise<Component>
  readonly props?: Readonly<Record<string, unknown>>
}

/** The menu's groups in the order people look for them; within a group, pages that every service has come first. */
const groupOrder = ['sec.title', 'sec.people', 'sec.access', 'sec.certificates', 'sec.audit', 'sec.data']

/** Pages that every service with accounts has: a node and the hub alike. `at` says whose posture, and whether its trail knows patients. */
const sharedPages = (at: 'node' | 'hub'): readonly CentrePage[] => [
  { path: '/security/overview', title: 'posture.title', group: 'sec.title', rights: ['security.overview'], page: () => import('./OverviewPage.vue'), props: { at } },
  { path: '/security/people', title: 'person.title', group: 'sec.people', rights: ['account.manage', 'role.manage'], page: () => import('../account/PeoplePage.vue') },
  { path: '/security/groups', title: 'group.title', group: 'sec.people', rights: ['role.manage', 'account.manage'], page: () => import('../account/GroupsPage.vue') },
  { path: '/security/roles', title: 'role.title', group: 'sec.people', rights: ['role.manage', 'account.manage'], page: () => import('../account/RolesPage.vue') },
  { path: '/security/organisation', title: 'organisation.title', group: 'sec.people', rights: ['organisation.manage'], page: () => import('../account/OrganisationPage.vue') },
  { path: '/security/sessions', title: 'session.title', group: 'sec.people', rights: ['account.manage'], page: () => import('../account/SessionsPage.vue') },
  { path: '/security/programs', title: 'program.title', group: 'sec.people', rights: ['account.manage', 'role.manage'], page: () => import('../account/ProgramsPage.vue') },
  { path: '/security/audit', title: 'audit.title', group: 'sec.audit', rights: ['audit.read'], page: () => import('../audit/AuditPage.vue'), props: { patients: at === 'node' } },
]

/** 证书中心: what a node keeps and what the authority keeps differ, who may see it does not. */
export const certificatesPage = (page: CentrePage['page']): CentrePage => ({ path: '/security/certificates', title: 'cert.title', group: 'sec.certificates', rights: ['certificate.manage', 'security.overview'], page })

export interface SecurityCentre {
  readonly items: readonly SecurityItem[]
  /** Every right that opens one of its pages. */
  readonly rights: Right[]
  /** For a router: the frame with its pages. */
  readonly route: { path: string; component: Component; props: object; children: { path: string; component: Component | (() => Promise<Component>); props?: object }[] }
}

/** 管理与安全 of one service: the pages that all have, and its own. */
export function securityCentre(at: 'node' | 'hub', own: readonly CentrePage[]): SecurityCentre {
  const pages = [...sharedPages(at), ...own].sort((a, b) => groupOrder.indexOf(a.group) - groupOrder.indexOf(b.group))
  const items = pages.map(({ path, title, group, rights }) => ({ path, title, group, rights }))
  return {
    items,
    rights: [...new Set(items.flatMap(({ rights }) => rights))],
    route: {
      path: '/security',
      component: SecurityFrame,
      props: { items },
      children: [{ path: '', component: SecurityStart, props: { items } }, ...pages.map(({ path, page, props = {} }) => ({ path: path.slice('/security/'.length), component: page, props }))],
    },
  }
}
