export const archiveRoutes = [
  {
    path: '/archive',
    component: () => import('./ArchiveFrame.vue'),
    children: [
      { path: 'studies', component: () => import('../study/StudiesPage.vue') },
      { path: 'worklist', component: () => import('../worklist/WorklistPage.vue') },
      { path: 'studies/:uid', component: () => import('../matching/StudyPage.vue'), props: true },
      { path: 'monitor', component: () => import('../matching/MonitorPage.vue') },
      { path: 'unmatched', component: () => import('../matching/UnmatchedPage.vue') },
      { path: 'normalisation', component: () => import('../matching/RulesPage.vue') },
      { path: 'compression', component: () => import('../compression/CompressionPage.vue') },
      { path: 'acquisition', component: () => import('../acquisition/AcquisitionPage.vue') },
      { path: 'import', component: () => import('../acquisition/ImportPage.vue') },
      { path: 'routing', component: () => import('../routing/RoutingPage.vue') },
      { path: 'storage', component: () => import('../storage/StoragePage.vue') },
    ],
  },
]
