import { describe, expect, it } from 'vitest'
import { covers, parseAccept } from './accept.ts'

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

  it('knows what a range covers', () => {
    expect([
      covers('*/*', 'image/jpeg'),
      covers('image/*', 'image/jpeg'),
      covers('image/png', 'image/jpeg'),
      covers('imag/*', 'image/jpeg'),
    ]).toEqual([true, true, false, false])
  })
})
