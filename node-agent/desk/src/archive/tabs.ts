import type { Right } from 'specs'
import type { Tab } from '../frame/tab.ts'

/** What the hospital's archive shows and can be told, in the order of the tabs: each page adds its line here and its route in `routes.ts`. */
export const archiveTabs: readonly Tab[] = [
  { path: '/archive/studies', title: 'studies.title', rights: ['exam.list'] },
]

export const rightsOfArchive: readonly Right[] = [...new Set(archiveTabs.flatMap(({ rights }) => rights))]
