import { inject, type InjectionKey } from 'vue'
import type { ApiClient } from './client.ts'
import type { LiveEvents } from './live.ts'
import type { Session } from '../session/session.ts'

/** What every page of the console works with; provided once by main.ts. */
export interface Console {
  api: ApiClient
  live: LiveEvents
  session: Session
}

export const consoleKey: InjectionKey<Console> = Symbol('console')

export function useConsole(): Console {
  const found = inject(consoleKey)
  if (!found) throw new Error('the console was not provided')
  return found
}
