import { readFileSync } from 'node:fs'
import process from 'node:process'
import { findNodeAtLocation, parse, parseTree, printParseErrorCode, type ParseError } from 'jsonc-parser'
import { z } from 'zod'
import { settingsOf, valueOf, type Setting } from './settings.ts'

export interface LoadConfigOptions {
  /** JSON with comments. Without a file the environment and the defaults of the schema decide. */
  readonly file?: string | undefined
  /** Variables with this prefix override the file; `…_FILE` names a file that holds the value (secrets of containers). */
  readonly prefix?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Told of variables with our prefix that are no setting: a slip of the pen, perhaps. */
  readonly onUnknown?: (variable: string) => void
}

/** Shown to the administrator as it is: every fault with file and line, or variable, in Chinese and English; never a value. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

/** @throws {ConfigError} */
export function loadConfig<S extends z.ZodType>(schema: S, options: LoadConfigOptions = {}): z.output<S> {
  const { file, prefix = 'LIANPIAN_', env = process.env, onUnknown = warnOfUnknown } = options
  const text = file === undefined ? '{}' : readConfigFile(file)
  const value = parseJsonc(text, file ?? '')
  const variables = overridesOf(settingsOf(schema, prefix), prefix, env, onUnknown)
  for (const { setting, value: override } of variables) place(value, setting.path, override)
  const result = schema.safeParse(value)
  if (result.success) return result.data
  throw new ConfigError(faultsOf(schema, value, { file, text, variables }))
}

function warnOfUnknown(variable: string): void {
  process.emitWarning(`${variable} is not a setting / 不是配置项`, 'ConfigWarning')
}

function readConfigFile(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw new ConfigError(`无法读取配置文件 / cannot read the configuration file: ${file} (${code})`, { cause: error })
  }
}

type Members = Record<string, unknown>
const isMembers = (value: unknown): value is Members => typeof value === 'object' && value !== null && !Array.isArray(value)

function parseJsonc(text: string, file: string): Members {
  const errors: ParseError[] = []
  const value: unknown = parse(text, errors, { allowTrailingComma: true })
  const [first] = errors
  if (first)
    throw new ConfigError(
      `配置文件格式错误 / not JSON with comments: ${file}:${lineAt(text, first.offset)} ${printParseErrorCode(first.error)}`,
    )
  if (!isMembers(value)) throw new ConfigError(`配置文件应为一个对象 / the configuration must be one object: ${file}`)
  return value
}

const lineAt = (text: string, offset: number): number => text.slice(0, offset).split('\n').length

interface Override {
  readonly variable: string
  readonly setting: Setting
  readonly value: unknown
}

function overridesOf(
  settings: ReadonlyMap<string, Setting>,
  prefix: string,
  env: Readonly<Record<string, string | undefined>>,
  onUnknown: (variable: string) => void,
): Override[] {
  const overrides: Override[] = []
  for (const [variable, text] of Object.entries(env)) {
    if (!variable.startsWith(prefix) || text === undefined) continue
    const direct = settings.get(variable)
    const fromFile = variable.endsWith('_FILE') ? settings.get(variable.slice(0, -'_FILE'.length)) : undefined
    if (direct) overrides.push({ variable, setting: direct, value: valueOf(text, direct) })
    else if (fromFile) overrides.push({ variable, setting: fromFile, value: valueOf(readConfigFile(text).trimEnd(), fromFile) })
    else onUnknown(variable)
  }
  // A whole object given as JSON comes before its single members.
  return overrides.sort((a, b) => a.setting.path.length - b.setting.path.length)
}

function place(target: Members, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path
  if (key === undefined) return
  if (rest.length === 0) {
    target[key] = value
    return
  }
  const inner = target[key]
  const members = isMembers(inner) ? inner : {}
  target[key] = members
  place(members, rest, value)
}

function faultsOf(
  schema: z.ZodType,
  value: unknown,
  source: { file: string | undefined; text: string; variables: readonly Override[] },
): string {
  const zh = issuesIn(schema, value, z.locales.zhCN())
  const en = issuesIn(schema, value, z.locales.en())
  const lines = zh.map((issue, i) => {
    const path = issue.path.map(String)
    const other = en[i]?.message
    const reason = other === undefined || other === issue.message ? issue.message : `${issue.message} / ${other}`
    return `  ${path.join('.') || '(all)'} [${whereIs(path, source)}]: ${reason}`
  })
  return ['配置有误 / the configuration has faults:', ...lines].join('\n')
}

function issuesIn(schema: z.ZodType, value: unknown, locale: { localeError: z.core.$ZodErrorMap }): readonly z.core.$ZodIssue[] {
  return schema.safeParse(value, { error: locale.localeError }).error?.issues ?? []
}

/** The variable that set it, or the line of the nearest part that is there. */
function whereIs(
  path: readonly string[],
  { file, text, variables }: { file: string | undefined; text: string; variables: readonly Override[] },
): string {
  const override = variables.findLast(({ setting }) => setting.path.every((key, i) => path[i] === key))
  if (override) return override.variable
  if (file === undefined) return 'environment'
  const tree = parseTree(text, [], { allowTrailingComma: true })
  const steps = path.map((key) => (/^\d+$/.test(key) ? Number(key) : key))
  for (let length = steps.length; tree && length > 0; length--) {
    const node = findNodeAtLocation(tree, steps.slice(0, length))
    if (node) return `${file}:${lineAt(text, node.offset)}`
  }
  return file
}
