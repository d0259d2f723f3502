import { describe, expect, it } from 'vitest'
import { acceptedBy, covers, parseAccept } from './accept.ts'

describe('reading an Accept header', () => {
  it('understands what viewers send', () => {
    expect(parseAccept('multipart/related; type="application/octet-stream"; transfer-syntax=*')).toEqual([
      { multipart: true, type: 'application/octet-stream', transferSyntax: '*', quality: 1 },
    ])
    expect(parseAccept('multipart/related;type=image/jls;q=0.5, application/dicom+json').map(({ type }) => type)).toEqual([
      'application/dicom+json',
      'image/jls',
    ])
    expect(parseAccept(undefined)).toEqual([{ multipart: false, type: '*/*', transferSyntax: '', quality: 1 }])
    expect(parseAccept('image/png;q=0, text/html').map(({ type }) => type)).toEqual(['text/html'])
    expect(parseAccept('multipart/related; type="a,b;c"')[0]?.type).toBe('a,b;c')
  })

  it('takes the accept of the query before the header', () => {
    // What OHIF asks a thumbnail with: the same multipart header as for everything, and the picture in the query.
    const asked = (query: Record<string, string>, header?: string) =>
      acceptedBy({ query, get: (() => header) as unknown as Parameters<typeof acceptedBy>[0]['get'] }).map(({ type }) => type)
    const multipart = 'multipart/related; type=application/octet-stream; transfer-syntax=*'
    expect(asked({ accept: 'image/jpeg' }, multipart)).toEqual(['image/jpeg', 'application/octet-stream'])
    expect(asked({ accept: 'application/dicom json' })).toEqual(['application/dicom+json'])
    expect(asked({ accept: '' }, 'image/png')).toEqual(['image/png'])
    expect(asked({})).toEqual(['*/*'])
  })

  it('knows what a range covers', () => {
    expect([
      covers('*/*', 'image/jpeg'),
      covers('image/*', 'image/jpeg'),
      covers('image/png', 'image/jpeg'),
      covers('imag/*', 'image/jpeg'),
    ]).toEqual([true, true, false, false])
  })
})
