import { sharedItems, type SecurityItem } from 'page-kit'

export const securityItems: readonly SecurityItem[] = [
  sharedItems.overview,
  sharedItems.people,
  sharedItems.groups,
  sharedItems.roles,
  sharedItems.organisation,
  sharedItems.sessions,
  sharedItems.programs,
  { path: '/security/rules', title: 'rule.title', group: 'sec.access', rights: ['rule.manage', 'security.overview'] },
  { path: '/security/explain', title: 'explain.title', group: 'sec.access', rights: ['rule.manage', 'security.overview'] },
  { path: '/security/break-glass', title: 'glass.title', group: 'sec.access', rights: ['break-glass.review', 'security.overview'] },
  { path: '/security/certificates', title: 'cert.title', group: 'sec.certificates', rights: ['certificate.manage', 'security.overview'] },
  sharedItems.audit,
  { path: '/security/retention', title: 'retention.title', group: 'sec.data', rights: ['exam.delete', 'system.configure'] },
]
