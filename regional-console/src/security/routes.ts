import { SecurityFrame, SecurityStart, sharedPages } from 'page-kit'
import { securityItems } from './items.ts'

export const securityRoutes = [
  { path: '/account', component: () => import('page-kit/pages/account/AccountPage.vue') },
  { path: '/cross-viewing', component: () => import('page-kit/pages/audit/CrossViewingPage.vue') },
  {
    path: '/security',
    component: SecurityFrame,
    props: { items: securityItems },
    children: [
      { path: '', component: SecurityStart, props: { items: securityItems } },
      { path: 'overview', component: () => import('page-kit/pages/security/OverviewPage.vue'), props: { at: 'hub' } },
      ...sharedPages,
      { path: 'certificates', component: () => import('./CertificatesPage.vue') },
      { path: 'audit', component: () => import('page-kit/pages/audit/AuditPage.vue'), props: { patients: false } },
    ],
  },
]
