import type { Right } from 'specs'
import type { Tab } from '../frame/tab.ts'

/** What belongs to exams of several hospitals: looking, giving, and what patients have agreed to. */
export const sharingTabs = [
  { path: '/cross-hospital/search', title: 'cross.title', rights: ['region.search'] },
  { path: '/cross-hospital/consents', title: 'consent.title', rights: ['patient.consent'] },
  { path: '/cross-hospital/grants', title: 'grant.title', rights: ['grant.manage'] },
] as const satisfies readonly Tab[]

export const rightsOfSharing: readonly Right[] = sharingTabs.flatMap(({ rights }) => rights)
