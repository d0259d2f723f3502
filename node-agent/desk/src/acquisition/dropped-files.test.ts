import { describe, expect, it } from 'vitest'
import { isNoise, isZip, nameOf } from './dropped-files.ts'

describe('files that were dropped on the page', () => {
  // ARC-04
  it('leave out what systems put on every medium', () => {
    expect(['CD/.DS_Store', 'Thumbs.db', '__MACOSX/a/b', 'CD/._IM1', 'desktop.ini'].every((name) => isNoise({ name }))).toBe(true)
    expect(['CD/DICOMDIR', 'CD/IM1', 'a.dcm', 'CD/Viewer.exe'].some((name) => isNoise({ name }))).toBe(false)
  })
  it('are named by their folder', () => {
    expect(nameOf([{ name: '光盘/IM1', file: new File([], 'IM1') }])).toBe('光盘')
    expect([isZip({ name: 'A.ZIP' }), isZip({ name: 'a.zip.dcm' })]).toEqual([true, false])
  })
})
