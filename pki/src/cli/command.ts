import { parseArgs } from 'node:util'
import { Problem } from 'specs'
import type { Terminal } from './terminal.ts'

export interface OptionDescription {
  readonly about: string
  /** How the value is shown in the help; a flag has none. */
  readonly value?: string
  readonly required?: true
  readonly several?: true
  readonly fallback?: string
}

/** One verb of the command line, described once for parser and help. */
export interface Command {
  readonly about: string
  readonly options: Readonly<Record<string, OptionDescription>>
  run(options: Options, terminal: Terminal): Promise<void> | void
}

type GivenValues = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** The given options, by the names of the description. */
export class Options {
  readonly #values: GivenValues
  readonly #command: Command

  constructor(command: Command, values: GivenValues) {
    this.#command = command
    this.#values = values
  }

  /** A required option, or one with a fallback. */
  text(name: string): string {
    const value = this.#values[name] ?? this.#command.options[name]?.fallback
    if (typeof value === 'string' && value !== '') return value
    throw new Problem('request/invalid', { missing: `--${name}` })
  }

  optional(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  list(name: string): string[] {
    const value = this.#values[name]
    const items = Array.isArray(value) ? value.map(String) : []
    if (items.length === 0) throw new Problem('request/invalid', { missing: `--${name}` })
    return items
  }

  flag(name: string): boolean {
    return this.#values[name] === true
  }

  /** A whole positive number of days. */
  days(name: string): number {
    const days = Number(this.text(name))
    if (Number.isInteger(days) && days > 0 && days <= 36_500) return days
    throw new Problem('request/invalid', { option: `--${name}`, reason: '1 to 36500 days' })
  }
}

/** @throws {Problem} request/invalid for an unknown option, or a value where none belongs. */
export function parseOptions(command: Command, args: readonly string[]): Options {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, { value, several }]) => [
      name,
      { type: value ? 'string' : 'boolean', multiple: several ?? false } as const,
    ]),
  )
  try {
    return new Options(command, parseArgs({ args: [...args], options, strict: true, allowPositionals: false }).values)
  } catch (cause) {
    throw new Problem('request/invalid', { reason: cause instanceof Error ? cause.message : 'arguments' }, { cause })
  }
}

export function helpOf(name: string, command: Command): string {
  const rows = Object.entries(command.options).map(([option, { about, value, required, several, fallback }]) => {
    const usage = value ? `--${option} <${value}>` : `--${option}`
    const notes = [required && '必填 required', several && '可重复 repeatable', fallback && `默认 default ${fallback}`].filter(Boolean)
    return `  ${usage.padEnd(28)} ${about}${notes.length > 0 ? ` (${notes.join(', ')})` : ''}`
  })
  return [`npm run pki -- ${name} …`, `  ${command.about}`, '', ...rows].join('\n')
}
