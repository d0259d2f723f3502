// The dependency direction of the workspaces as a lint rule: who may import whom (docs/adr/0001).
import { relative, resolve, sep, dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const workspaces = ['node-agent/desk', 'specs', 'pki', 'service-kit', 'hub', 'node-agent', 'viewer', 'regional-console', 'page-kit']
const names = { desk: 'node-agent/desk', specs: 'specs', pki: 'pki', 'service-kit': 'service-kit', hub: 'hub', 'node-agent': 'node-agent', viewer: 'viewer', 'regional-console': 'regional-console', 'page-kit': 'page-kit' }

/** What the sources of a workspace may import of ours. Tests, scripts and benches may import everything. */
const allowed = {
  specs: [],
  pki: ['specs'],
  'service-kit': ['specs', 'pki'],
  hub: ['service-kit', 'pki', 'specs'],
  'node-agent': ['service-kit', 'pki', 'specs'],
  'page-kit': ['specs'],
  'node-agent/desk': ['page-kit', 'specs'],
  viewer: ['page-kit', 'specs'],
  'regional-console': ['page-kit', 'specs'],
}

/** @param {string} path absolute or repository-relative */
export function workspaceOf(path) {
  const inside = relative(root, resolve(root, path)).split(sep).join('/')
  return workspaces.find((workspace) => inside === workspace || inside.startsWith(`${workspace}/`))
}

/** @returns {string | undefined} the reason why `from` may not import `specifier` */
export function forbiddenImport(from, specifier) {
  const own = workspaceOf(from)
  const inside = relative(root, resolve(root, from)).split(sep).join('/')
  if (!own || !inside.startsWith(`${own}/src/`) || inside.endsWith('.test.ts')) return undefined
  const first = specifier.split('/')[0]
  const target = specifier.startsWith('.') ? workspaceOf(resolve(dirname(resolve(root, from)), specifier)) : names[first]
  if (specifier.startsWith('.') && target !== own) return `a workspace is imported by its name, not by a path out of ${own}`
  if (target === undefined || target === own || allowed[own].includes(target)) return undefined
  return `${own} must not import ${target}`
}

export const importDirection = {
  meta: { type: 'problem', schema: [], messages: { forbidden: '{{reason}}' } },
  create(context) {
    const check = (node) => {
      if (!node.source) return
      const reason = forbiddenImport(context.filename, String(node.source.value))
      if (reason) context.report({ node, messageId: 'forbidden', data: { reason } })
    }
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check, ImportExpression: (node) => node.source.type === 'Literal' && check(node) }
  },
}
