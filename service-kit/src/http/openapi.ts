import { z } from 'zod'
import type { RouteSpec } from './route.ts'
import type { Allow } from './user.ts'

/** What the document says about a route; raw routes have no schemas. */
export interface DescribedRoute {
  readonly spec: Pick<RouteSpec, 'method' | 'path' | 'summary' | 'allow' | 'params' | 'query' | 'body' | 'answer'>
  readonly produces?: string | undefined
}

type Json = Record<string, unknown>

/** OpenAPI 3.1 from the schemas that parse the requests, so the two cannot differ. */
export function openApiDocument(
  service: { name: string; version: string; cookie: string | undefined },
  routes: readonly DescribedRoute[],
): Json {
  const paths: Record<string, Json> = {}
  for (const route of routes) {
    const path = openApiPath(route.spec.path)
    paths[path] = { ...paths[path], [route.spec.method.toLowerCase()]: operation(route) }
  }
  return {
    openapi: '3.1.0',
    info: { title: service.name, version: service.version },
    paths,
    components: {
      schemas: { Problem: problemSchema },
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer' },
        ...(service.cookie !== undefined && { cookie: { type: 'apiKey', in: 'cookie', name: service.cookie } }),
      },
    },
  }
}

/** `/api/consults/:taskId` and `/files/*path` as OpenAPI writes them. */
export function openApiPath(path: string): string {
  return path.replace(/[:*](\w+)/g, '{$1}').replace(/\{\/([^}]*)\}/g, '/$1')
}

function operation({ spec, produces }: DescribedRoute): Json {
  const body = spec.body && { required: true, content: { 'application/json': { schema: schemaOf(spec.body, 'input') } } }
  const success =
    produces !== undefined ? { [produces]: {} } : spec.answer && { 'application/json': { schema: schemaOf(spec.answer, 'output') } }
  return {
    summary: spec.summary,
    parameters: [...pathParameters(spec), ...queryParameters(spec)],
    ...(body && { requestBody: body }),
    responses: {
      '2XX': { description: 'Done', ...(success && { content: success }) },
      default: { description: 'Refused', content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } } },
    },
    ...security(spec.allow),
  }
}

function security(allow: Allow): Json {
  if (allow === 'anyone') return { security: [] }
  return { security: [{ bearer: [] }, { cookie: [] }], ...(allow !== 'signed-in' && { 'x-rights': allow }) }
}

function pathParameters(spec: DescribedRoute['spec']): Json[] {
  const schemas = propertiesOf(spec.params)
  return [...spec.path.matchAll(/[:*](\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: schemas[name] ?? { type: 'string' },
  }))
}

function queryParameters(spec: DescribedRoute['spec']): Json[] {
  const required = spec.query === undefined ? [] : schemaOf(spec.query, 'input')['required']
  return Object.entries(propertiesOf(spec.query)).map(([name, schema]) => ({
    name,
    in: 'query',
    required: Array.isArray(required) && required.includes(name),
    schema,
  }))
}

function propertiesOf(schema: z.ZodType | undefined): Record<string, unknown> {
  if (schema === undefined) return {}
  const properties = schemaOf(schema, 'input')['properties']
  return typeof properties === 'object' && properties !== null ? { ...properties } : {}
}

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: 'any', target: 'draft-2020-12' })
  return rest
}

const problemSchema: Json = {
  type: 'object',
  description: 'Problem details, RFC 9457; `code` is stable, the titles are not',
  required: ['type', 'code', 'title', 'titleEn', 'status'],
  properties: {
    type: { type: 'string' },
    code: { type: 'string' },
    title: { type: 'string' },
    titleEn: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    facts: { type: 'object' },
  },
}
