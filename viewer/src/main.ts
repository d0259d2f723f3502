import { createApiClient, createLiveEvents, createSession, pageKey, type ApiClient, type Session } from 'page-kit'
import { createApp } from 'vue'
import App from './app/App.vue'
import './app/page.css'
import { createLanguage } from './locale/index.ts'
import { parseAddress } from './reading-room/address.ts'

// Session and client need each other: a 401 of any request ends the session, and the session asks through the client.
const api: ApiClient = createApiClient(
  () => session.ended(),
  undefined,
  () => session.strengthen(),
)
const session: Session = createSession(() => api)

createApp(App, { address: parseAddress(location.search) })
  .use(createLanguage())
  .provide(pageKey, { api, live: createLiveEvents({ onRefused: () => void session.check() }), session })
  .mount('#app')
