export const sharingRoutes = [
  {
    path: '/cross-hospital',
    component: () => import('./SharingFrame.vue'),
    children: [
      { path: 'search', component: () => import('./SearchPage.vue') },
      { path: 'consents', component: () => import('../grant/ConsentsPage.vue') },
      { path: 'grants', component: () => import('../grant/GrantsPage.vue') },
    ],
  },
]
