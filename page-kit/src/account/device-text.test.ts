import { describe, expect, it } from 'vitest'
import { deviceText } from './device-text.ts'

describe('the device of a session in words', () => {
  it('names browser and system', () => {
    expect(deviceText('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 Edg/120.0')).toBe('Edge · Windows')
    expect(deviceText('Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Version/17.0 Mobile/15E Safari/604.1')).toBe('Safari · iOS')
    expect(deviceText('Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/120.0 Safari/537.36')).toBe('Chrome · Linux')
  })
  it('says nothing of what it does not know', () => expect(deviceText('')).toBe(''))
})
