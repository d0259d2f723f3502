import { describe, expect, it } from 'vitest'
import { forbiddenImport } from './import-direction.mjs'

describe('the dependency direction of the workspaces', () => {
  it('lets hub and node agent stand on the service kit', () => {
    expect(forbiddenImport('hub/src/main.ts', 'service-kit')).toBeUndefined()
    expect(forbiddenImport('node-agent/src/consult/service.ts', 'pki')).toBeUndefined()
  })
  it('refuses a node agent that imports the hub, by name or by path', () => {
    expect(forbiddenImport('node-agent/src/main.ts', 'hub/src/main.ts')).toMatch('must not import hub')
    expect(forbiddenImport('node-agent/src/main.ts', '../../hub/src/main.ts')).toMatch('by its name')
  })
  it('keeps pages away from everything that runs on a server', () => {
    expect(forbiddenImport('viewer/src/main.ts', 'service-kit')).toMatch('must not import')
    expect(forbiddenImport('node-agent/desk/src/main.ts', 'node-agent')).toMatch('must not import')
    expect(forbiddenImport('regional-console/src/main.ts', 'specs')).toBeUndefined()
  })
  it('lets the words on the wire depend on nothing of ours', () => {
    expect(forbiddenImport('specs/src/index.ts', 'pki')).toMatch('must not import pki')
  })
  it('leaves tests free to bring parts together', () => {
    expect(forbiddenImport('node-agent/tests/interop/two-nodes.test.ts', 'hub')).toBeUndefined()
  })
})
