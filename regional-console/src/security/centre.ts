import { certificatesPage, securityCentre } from 'page-kit'

/** 管理与安全 of the region. */
export const centre = securityCentre('hub', [certificatesPage(() => import('./CertificatesPage.vue'))])

export const securityRoutes = [
  { path: '/account', component: () => import('page-kit/pages/account/AccountPage.vue') },
  { path: '/cross-viewing', component: () => import('page-kit/pages/audit/CrossViewingPage.vue') },
  centre.route,
]
