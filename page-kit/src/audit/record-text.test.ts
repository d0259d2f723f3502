import { describe, expect, it } from 'vitest'
import { changesOf } from './record-text.ts'

describe('what a record says has changed', () => {
  it('names each field with its old and its new value, and leaves out what stayed', () => {
    // SEC-08
    expect(changesOf({ name: '王芳', roles: ['doctor'], phone: '1' }, { name: '王芳', roles: ['doctor', 'reviewer'], title: '主任' })).toEqual([
      { field: 'roles', before: '["doctor"]', after: '["doctor","reviewer"]' },
      { field: 'phone', before: '1', after: '' },
      { field: 'title', before: '', after: '主任' },
    ])
  })
  it('shows something new as new', () => expect(changesOf(undefined, { zh: '夜班' })).toEqual([{ field: 'zh', before: '', after: '夜班' }]))
})
