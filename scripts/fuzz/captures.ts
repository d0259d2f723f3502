import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { conversationOf, type Conversation } from './mutate.ts'

const folder = fileURLToPath(new URL('../../fixtures/dimse/', import.meta.url))

/** What real clients said to this node, by name: recorded by `capture.ts`, see fixtures/dimse/README.md. */
export function readCaptures(): ReadonlyMap<string, Conversation> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.bin')).sort() // prettier-ignore
  return new Map(names.map((name) => [name.slice(0, -4), conversationOf(readFileSync(`${folder}${name}`))]))
}
