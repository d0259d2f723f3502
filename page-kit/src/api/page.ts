import { inject, type InjectionKey } from 'vue'
import type { ApiClient } from './client.ts'
import type { LiveEvents } from './live.ts'
import type { Session } from '../session/session.ts'

/** What every page works with; provided once by its main.ts. */
export interface PageContext {
  api: ApiClient
  live: LiveEvents
  session: Session
}

export const pageKey: InjectionKey<PageContext> = Symbol('page')

export function usePage(): PageContext {
  const found = inject(pageKey)
  if (!found) throw new Error('the page context was not provided')
  return found
}
