import 'element-plus/dist/index.css'
import 'page-kit/page.css'
import { createApp, ref } from 'vue'
import { createI18n } from 'vue-i18n'
import { createRouter, createWebHistory } from 'vue-router'
import { createApiClient, createLiveEvents, createSession, kitMessages, pageKey, type ApiClient, type Session } from 'page-kit'
import App from './App.vue'
import { en, zhCN } from './language/messages.ts'
import { archiveRoutes } from './archive/routes.ts'
import { sharingRoutes } from './cross-hospital/routes.ts'
import { securityRoutes } from './security/centre.ts'
import * as securityTexts from './security/texts.ts'
import * as sharingTexts from './cross-hospital/texts.ts'
import * as exportTexts from './export/texts.ts'
import * as matchingTexts from './matching/texts.ts'
import * as compressionTexts from './compression/texts.ts'
import * as acquisitionTexts from './acquisition/texts.ts'
import * as storageTexts from './storage/texts.ts'
import * as studyTexts from './study/texts.ts'
import * as deviceTexts from './dicom-node/texts.ts'
import * as worklistTexts from './worklist/texts.ts'

const i18n = createI18n({ legacy: false, locale: localStorage.getItem('lianpian-language') ?? 'zh-CN', fallbackLocale: 'zh-CN', messages: { 'zh-CN': { ...kitMessages['zh-CN'], ...securityTexts.zhCN, ...sharingTexts.zhCN, ...exportTexts.zhCN, ...storageTexts.zhCN, ...studyTexts.zhCN, ...deviceTexts.zhCN, ...worklistTexts.zhCN, ...acquisitionTexts.zhCN, ...compressionTexts.zhCN, ...matchingTexts.zhCN, ...zhCN }, en: { ...kitMessages.en, ...securityTexts.en, ...sharingTexts.en, ...exportTexts.en, ...storageTexts.en, ...studyTexts.en, ...deviceTexts.en, ...worklistTexts.en, ...acquisitionTexts.en, ...compressionTexts.en, ...matchingTexts.en, ...en } } })
const router = createRouter({
  history: createWebHistory('/desk/'),
  routes: [
    { path: '/', redirect: () => (session.user.value && !session.may('exam.list') ? '/security' : '/exams') },
    { path: '/exams', component: () => import('./exam/ExamsPage.vue') },
    { path: '/exams/:examId', component: () => import('./exam/ExamPage.vue'), props: true },
    { path: '/exports', component: () => import('./export/ExportsPage.vue') },
    { path: '/requests', component: () => import('./consult/ConsultsPage.vue'), props: { side: 'submitter' } },
    { path: '/consults', component: () => import('./consult/ConsultsPage.vue'), props: { side: 'processor' } },
    { path: '/consults/:taskId', component: () => import('./consult/ConsultPage.vue'), props: true },
    { path: '/consults/:taskId/print', component: () => import('./consult/OpinionPrintPage.vue'), props: true },
    ...sharingRoutes,
    ...archiveRoutes,
    { path: '/transfers', component: () => import('./transfer/TransfersPage.vue') },
    { path: '/region', component: () => import('./region/RegionPage.vue') },
    { path: '/dicom-nodes', component: () => import('./dicom-node/DicomNodesPage.vue') },
    ...securityRoutes,
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})

// Session and client need each other: a 401 ends the session, signing in uses the client.
const sessionHolder = ref<Session>()
const api: ApiClient = createApiClient(() => sessionHolder.value?.ended(), undefined, () => sessionHolder.value?.strengthen() ?? Promise.resolve(false))
const session = createSession(() => api)
sessionHolder.value = session
void session.look()

createApp(App).use(i18n).use(router).provide(pageKey, { api, live: createLiveEvents({ onRefused: () => void session.check() }), session }).mount('#app')
