import process from 'node:process'
import { Problem } from 'specs'

/** What a command needs from the outside; the tests bring their own. */
export interface Terminal {
  readonly env: Readonly<Record<string, string | undefined>>
  print(line: string): void
  /** Asks without showing what is typed; undefined where nobody can answer. */
  askSecret(question: string): Promise<string | undefined>
  now(): number
}

export const PASSPHRASE_VARIABLE = 'LIANPIAN_PKI_PASSPHRASE'

/** From the environment or the keyboard, never from an argument: those are seen in the process list and kept in the shell history. */
export async function passphraseFor(terminal: Terminal, purpose: string): Promise<string> {
  const given = terminal.env[PASSPHRASE_VARIABLE] ?? (await terminal.askSecret(`${purpose} / passphrase: `))
  if (given === undefined || given.length === 0) {
    throw new Problem('certificate/wrong-passphrase', { reason: `set ${PASSPHRASE_VARIABLE}, or run it in a terminal` })
  }
  return given
}

/** Control keys as a terminal in raw mode sends them. */
const CTRL_C = '\u0003'
const ENTER = /[\r\n\u0004]/
const BACKSPACE = /[\u0008\u007f]/

export const processTerminal: Terminal = {
  env: process.env,
  print: (line) => void process.stdout.write(`${line}\n`),
  now: Date.now,
  async askSecret(question) {
    const { stdin, stderr } = process
    if (!stdin.isTTY) return undefined
    stderr.write(question)
    stdin.setRawMode(true)
    stdin.setEncoding('utf8')
    try {
      let typed = ''
      for await (const chunk of stdin) {
        for (const key of String(chunk)) {
          if (key === CTRL_C) throw new Problem('certificate/wrong-passphrase', { reason: 'cancelled' })
          if (ENTER.test(key)) return typed
          typed = BACKSPACE.test(key) ? typed.slice(0, -1) : typed + key
        }
      }
      return typed
    } finally {
      stdin.setRawMode(false)
      stdin.pause()
      stderr.write('\n')
    }
  },
}
