import { randomUUID } from 'node:crypto'

/** A new UID under 2.25, made of a random UUID: needs no registered root (PS3.5 B.2). */
export function newUid(): string {
  return `2.25.${BigInt(`0x${randomUUID().replaceAll('-', '')}`)}`
}
