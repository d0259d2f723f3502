import { describe, expect, it } from 'vitest'
import { dutiesOf, hubRoles, nodeRoles } from './rights.ts'

describe('the roles that every installation begins with', () => {
  it('never join two of the administrative duties', () => {
    // SEC-07, SEC-08
    for (const role of [...nodeRoles, ...hubRoles]) expect(dutiesOf(role.rights).length, role.id).toBeLessThanOrEqual(1)
  })
  it('give the administrator of a node no images, and the auditor no patients', () => {
    // SEC-02, SEC-07
    const rightsOf = (id: string) => nodeRoles.find((role) => role.id === id)?.rights
    expect(rightsOf('admin')).not.toContain('image.view')
    expect(rightsOf('audit-admin')).toEqual(['audit.read', 'audit.export'])
  })
})
