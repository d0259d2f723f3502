import { z } from 'zod'

/** One value that can be set: where it is in the configuration, and what kind of text an environment variable may hold for it. */
export interface Setting {
  readonly path: readonly string[]
  /** JSON types that the schema takes there. */
  readonly types: ReadonlySet<string>
}

interface SchemaNode {
  readonly type?: string
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly properties?: Readonly<Record<string, SchemaNode>>
  readonly anyOf?: readonly SchemaNode[]
  readonly oneOf?: readonly SchemaNode[]
  readonly allOf?: readonly SchemaNode[]
}

/** Every setting of a schema under the name of its environment variable: `http.trustProxy` is `LIANPIAN_HTTP_TRUST_PROXY`. */
export function settingsOf(schema: z.ZodType, prefix: string): ReadonlyMap<string, Setting> {
  const settings = new Map<string, { path: string[]; types: Set<string> }>()
  function visit(node: SchemaNode, path: string[]): void {
    for (const part of [...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])]) visit(part, path)
    for (const [key, member] of Object.entries(node.properties ?? {})) visit(member, [...path, key])
    const types = typesOf(node)
    if (types.length === 0 || path.length === 0) return
    const name = `${prefix}${path.map(snake).join('_')}`
    const known = settings.get(name) ?? { path, types: new Set<string>() }
    if (known.path.join('.') !== path.join('.')) throw new Error(`${known.path.join('.')} and ${path.join('.')} would share ${name}`)
    for (const type of types) known.types.add(type)
    settings.set(name, known)
  }
  visit(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as SchemaNode, [])
  return settings
}

function typesOf(node: SchemaNode): string[] {
  if (node.type !== undefined) return [node.type]
  const values = node.enum ?? ('const' in node ? [node.const] : [])
  return values.map((value) => typeof value)
}

const snake = (key: string): string => key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase()

/** The text of a variable as the value that the schema expects; what does not fit stays text, so that the schema names the fault. */
export function valueOf(text: string, { types }: Setting): unknown {
  if (types.has('string')) return text
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    if (error instanceof SyntaxError) return text
    throw error
  }
}
