import { certificatesPage, securityCentre } from 'page-kit'

/** 管理与安全 of a hospital. */
export const centre = securityCentre('node', [
  { path: '/security/rules', title: 'rule.title', group: 'sec.access', rights: ['rule.manage', 'security.overview'], page: () => import('./RulesPage.vue') },
  { path: '/security/explain', title: 'explain.title', group: 'sec.access', rights: ['rule.manage', 'security.overview'], page: () => import('./ExplainPage.vue') },
  { path: '/security/break-glass', title: 'glass.title', group: 'sec.access', rights: ['break-glass.review', 'security.overview'], page: () => import('./BreakGlassPage.vue') },
  certificatesPage(() => import('./CertificatesPage.vue')),
  { path: '/security/retention', title: 'retention.title', group: 'sec.data', rights: ['exam.delete', 'system.configure'], page: () => import('./RetentionPage.vue') },
])

export const securityRoutes = [{ path: '/account', component: () => import('./OwnAccountPage.vue') }, centre.route]
