import { sharedItems, type SecurityItem } from 'page-kit'

export const securityItems: readonly SecurityItem[] = [
  sharedItems.overview,
  sharedItems.people,
  sharedItems.groups,
  sharedItems.roles,
  sharedItems.organisation,
  sharedItems.sessions,
  sharedItems.programs,
  { path: '/security/certificates', title: 'cert.title', group: 'sec.certificates', rights: ['certificate.manage', 'security.overview'] },
  sharedItems.audit,
]
