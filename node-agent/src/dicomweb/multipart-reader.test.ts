import { Buffer } from 'node:buffer'
import { describe, expect, it } from 'vitest'
import { mediaParameter, MultipartReader } from './multipart-reader.ts'

async function read(body: Buffer, boundary: string, chunkBytes: number): Promise<[string | undefined, string][]> {
  const parts: [string | undefined, string][] = []
  const reader = new MultipartReader(boundary, async (headers) => {
    const chunks: Buffer[] = []
    return {
      write: async (chunk) => void chunks.push(Buffer.from(chunk)),
      end: async () => void parts.push([headers['content-type'], Buffer.concat(chunks).toString('latin1')]),
    }
  })
  for (let at = 0; at < body.length; at += chunkBytes) await reader.push(body.subarray(at, at + chunkBytes))
  await reader.end()
  return parts
}

describe('reading multipart/related as it arrives', () => {
  const body = Buffer.from(
    'a preamble\r\n--b:1\r\nContent-Type: application/dicom\r\n\r\none\r\n--b:\r\n--b:1  \r\nX: y\r\n\r\n\r\n--b:1\r\n\r\nthree\r\n--b:1--\r\nan epilogue',
    'latin1',
  )

  it('finds every part in chunks of any size, also bodies that look like a boundary', async () => {
    for (const chunkBytes of [1, 2, 3, 5, 8, 13, body.length]) {
      expect(await read(body, 'b:1', chunkBytes)).toEqual([
        ['application/dicom', 'one\r\n--b:'],
        [undefined, ''],
        [undefined, 'three'],
      ])
    }
  })

  it('refuses bodies that break off, endless headers and boundaries that are none', async () => {
    await expect(read(body.subarray(0, body.length - 25), 'b:1', 7)).rejects.toMatchObject({ code: 'request/invalid' })
    await expect(read(Buffer.from(`--b\r\n${'x'.repeat(20_000)}`), 'b', 500)).rejects.toMatchObject({ code: 'request/invalid' })
    expect(() => new MultipartReader('', async () => Promise.reject(new Error('not asked')))).toThrow(
      expect.objectContaining({ code: 'request/invalid' }),
    )
  })

  it('reads parameters with and without quotes', () => {
    expect(mediaParameter('multipart/related; type="application/dicom"; boundary=abc', 'type')).toBe('application/dicom')
    expect(mediaParameter('multipart/related; type="application/dicom"; BOUNDARY=abc', 'boundary')).toBe('abc')
    expect(mediaParameter('multipart/related', 'boundary')).toBeUndefined()
  })
})
