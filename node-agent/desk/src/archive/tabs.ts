import type { Right } from 'specs'
import type { Tab } from '../frame/tab.ts'

/** What the hospital's archive shows and can be told, in the order of the tabs: each page adds its line here and its route in `routes.ts`. */
export const archiveTabs: readonly Tab[] = [
  { path: '/archive/studies', title: 'studies.title', rights: ['exam.list'] },
  { path: '/archive/worklist', title: 'worklist.title', rights: ['exam.list'] },
  { path: '/archive/monitor', title: 'monitor.title', rights: ['system.configure', 'system.monitor', 'device.watch'] },
  { path: '/archive/unmatched', title: 'unmatched.title', rights: ['exam.change', 'exam.register'] },
  { path: '/archive/normalisation', title: 'rules.title', rights: ['system.configure', 'device.watch'] },
  { path: '/archive/compression', title: 'compression.title', rights: ['system.configure', 'system.monitor'] },
  { path: '/archive/acquisition', title: 'acquire.title', rights: ['system.configure', 'device.watch'] },
  { path: '/archive/import', title: 'importing.title', rights: ['image.store', 'system.configure', 'system.monitor'] },
  { path: '/archive/routing', title: 'routing.title', rights: ['system.configure', 'device.watch'] },
  { path: '/archive/storage', title: 'storage.title', rights: ['system.monitor', 'system.configure', 'exam.delete'] },
]

export const rightsOfArchive: readonly Right[] = [...new Set(archiveTabs.flatMap(({ rights }) => rights))]
