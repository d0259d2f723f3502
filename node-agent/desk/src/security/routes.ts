import { SecurityFrame, SecurityStart, sharedPages } from 'page-kit'
import { securityItems } from './items.ts'

export const securityRoutes = [
  { path: '/account', component: () => import('./OwnAccountPage.vue') },
  {
    path: '/security',
    component: SecurityFrame,
    props: { items: securityItems },
    children: [
      { path: '', component: SecurityStart, props: { items: securityItems } },
      { path: 'overview', component: () => import('page-kit/pages/security/OverviewPage.vue'), props: { at: 'node' } },
      ...sharedPages,
      { path: 'rules', component: () => import('./RulesPage.vue') },
      { path: 'explain', component: () => import('./ExplainPage.vue') },
      { path: 'break-glass', component: () => import('./BreakGlassPage.vue') },
      { path: 'certificates', component: () => import('./CertificatesPage.vue') },
      { path: 'audit', component: () => import('page-kit/pages/audit/AuditPage.vue'), props: { patients: true } },
      { path: 'retention', component: () => import('./RetentionPage.vue') },
    ],
  },
]
