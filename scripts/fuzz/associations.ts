import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { Dice, mutated, type Conversation } from './mutate.ts'

export interface FuzzOptions {
  readonly port: number
  readonly associations: number
  readonly seed: number
  readonly captures: ReadonlyMap<string, Conversation>
  /** At the same time. */
  readonly atOnce?: number
  /** Whoever is not let go within this long after its last word is hanging. */
  readonly patienceMs?: number
  /** Between associations, every so many: whether the service still does what it should. Throws when not. */
  readonly check?: (done: number) => Promise<void>
  readonly checkEvery?: number
}

export interface FuzzResult {
  readonly associations: number
  /** How connections ended: `closed` by the service after our last word, `answered` before it, `reset`. */
  readonly ends: Readonly<Record<string, number>>
  /** Connections that the service did not let go, with what was sent. */
  readonly hanging: readonly string[]
  readonly answeredBytes: number
}

/** How long a request is given for its answer before the rest follows: long enough for a busy machine, short where none comes. */
const ANSWER_MS = 400
/** When nothing has come for this long after our last word, nothing will. */
const SILENCE_MS = 60

/** Sends mutated conversations to a DICOM port, as many as wanted, the same for the same seed whatever the order in which they end. */
export async function fuzz({ port, associations, seed, captures, atOnce = 32, patienceMs = 20_000, check, checkEvery = 2_000 }: FuzzOptions): Promise<FuzzResult> {
  const conversations = [...captures.values()]
  const names = [...captures.keys()]
  const ends: Record<string, number> = {}
  const hanging: string[] = []
  let answeredBytes = 0
  let next = 0
  let checking: Promise<void> = Promise.resolve()
  async function worker(): Promise<void> {
    while (next < associations) {
      const number = next++
      if (check && number > 0 && number % checkEvery === 0) checking = checking.then(() => check(number))
      await checking
      const dice = new Dice(seed + number * 7_919)
      const chosen = dice.roll(conversations.length)
      const { pdus, how } = mutated(conversations[chosen] ?? [], conversations, dice)
      const { end, bytes } = await converse(port, pdus, patienceMs, dice.roll(10) === 0)
      ends[end] = (ends[end] ?? 0) + 1
      answeredBytes += bytes
      if (end === 'hanging') hanging.push(`number ${number}: ${names[chosen]}, ${how.join(', ')}`)
      if (number % 64 === 0) await turn()
    }
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
  await checking
  await check?.(associations)
  return { associations, ends, hanging, answeredBytes }
}

/** @param abrupt resets the connection after the last word instead of closing it. */
function converse(port: number, pdus: Conversation, patienceMs: number, abrupt: boolean): Promise<{ end: string; bytes: number }> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    let bytes = 0
    let said = false
    let last: ReturnType<typeof setTimeout> | undefined
    const finish = (end: string) => {
      clearTimeout(last)
      socket.destroy()
      resolve({ end, bytes })
    }
    const rest = () => {
      if (said) return
      said = true
      clearTimeout(last)
      for (const pdu of pdus.slice(1)) if (socket.writable) socket.write(pdu)
      leaveSoon()
    }
    const leaveSoon = () => {
      clearTimeout(last)
      last = setTimeout(() => {
        if (abrupt) socket.resetAndDestroy()
        else socket.end()
        last = setTimeout(() => finish('hanging'), patienceMs)
      }, SILENCE_MS)
    }
    socket.on('connect', () => {
      socket.write(pdus[0] ?? Buffer.alloc(0))
      last = setTimeout(rest, ANSWER_MS)
    })
    socket.on('data', (chunk) => {
      bytes += chunk.length
      if (said && socket.writable) leaveSoon()
      rest()
    })
    socket.on('error', () => undefined) // 'close' follows
    socket.on('close', (hadError) => finish(hadError || (abrupt && said) ? 'reset' : said ? 'closed' : 'ended before our last word'))
  })
}
