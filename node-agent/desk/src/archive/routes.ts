export const archiveRoutes = [
  {
    path: '/archive',
    component: () => import('./ArchiveFrame.vue'),
    children: [
      { path: 'studies', component: () => import('../study/StudiesPage.vue') },
    ],
  },
]
