import 'element-plus/dist/index.css'
import 'page-kit/page.css'
import { createApp, ref } from 'vue'
import { createI18n } from 'vue-i18n'
import { createRouter, createWebHistory } from 'vue-router'
import App from './App.vue'
import { en, zhCN } from './language/messages.ts'
import { securityRoutes } from './security/centre.ts'
import { type ApiClient, createApiClient, createLiveEvents, createSession, kitMessages, pageKey, type Session } from 'page-kit'

const i18n = createI18n({ legacy: false, locale: localStorage.getItem('lianpian-language') ?? 'zh-CN', fallbackLocale: 'zh-CN', messages: { 'zh-CN': { ...kitMessages['zh-CN'], ...zhCN }, en: { ...kitMessages.en, ...en } } })
const router = createRouter({
  history: createWebHistory('/console/'),
  routes: [
    { path: '/', beforeEnter: () => (session.user.value && !session.may('region.watch', 'region.manage') ? '/security' : true), component: () => import('./monitor/OverviewPage.vue'), meta: { title: 'menu.overview' } },
    { path: '/tasks/:taskId?', component: () => import('./consult/TasksPage.vue'), meta: { title: 'menu.tasks' } },
    { path: '/hospitals', component: () => import('./hospital/HospitalsPage.vue'), meta: { title: 'menu.hospitals' } },
    { path: '/refusals', component: () => import('./refusal/RefusalsPage.vue'), meta: { title: 'menu.refusals' } },
    { path: '/waiting', component: () => import('./message/WaitingPage.vue'), meta: { title: 'menu.waiting' } },
    ...securityRoutes,
    { path: '/:rest(.*)*', redirect: '/' },
  ],
})

// Session and client need each other: a 401 ends the session, signing in uses the client.
const sessionHolder = ref<Session>()
const api: ApiClient = createApiClient(() => sessionHolder.value?.ended(), undefined, () => sessionHolder.value?.strengthen() ?? Promise.resolve(false))
const session = createSession(() => api)
sessionHolder.value = session
const live = createLiveEvents({ onRefused: () => void session.check() })
void session.look()

createApp(App).use(i18n).use(router).provide(pageKey, { api, live, session }).mount('#app')
