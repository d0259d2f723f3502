import { Buffer } from 'node:buffer'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createHttpFace, createLog, createMetrics, type HttpFace } from '../index.ts'

describe('the pages of a service', () => {
  let folder: string
  let dist: string
  let face: HttpFace
  let url: string
  const script = `console.log('${'联片'.repeat(2_000)}')`

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lianpian-pages-'))
    dist = join(folder, 'dist')
    face = createHttpFace({ name: 'x', version: '1', log: createLog({ name: 'x', level: 'silent' }), metrics: createMetrics() })
    face.redirect('/', '/desk/')
    face.pages('/desk', dist)
    url = `http://127.0.0.1:${(await face.listen({ host: '127.0.0.1', port: 0 })).port}`
  })
  afterAll(async () => {
    await face.close()
    await rm(folder, { recursive: true })
  })

  /** As it is on the line: no decompression, no tidying of the path. */
  function get(
    path: string,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; headers: Record<string, unknown>; body: Buffer }> {
    return new Promise((resolve, reject) => {
      const asking = httpRequest({ host: '127.0.0.1', port: new URL(url).port, path, headers }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }))
      })
      asking.on('error', reject)
      asking.end()
    })
  }

  it('say how to build them as long as nobody has', async () => {
    const page = await get('/desk/')
    expect([page.status, page.headers['content-type']]).toEqual([503, 'text/html; charset=utf-8'])
    expect(page.body.toString()).toContain('npm run build')
  })

  it('are served as soon as they are built: scripts for ever, the page itself always fresh', async () => {
    await mkdir(join(dist, 'assets'), { recursive: true })
    await writeFile(join(dist, '.secret'), 'x')
    await writeFile(join(folder, 'outside.txt'), 'outside')
    await writeFile(join(dist, 'assets', 'app-1a2b.js'), script)
    await writeFile(join(dist, 'assets', 'codec-9z.wasm'), new Uint8Array(2_000))
    await writeFile(join(dist, 'index.html'), '<!doctype html><script type="module" src="/desk/assets/app-1a2b.js"></script>')
    const page = await get('/desk/')
    expect([page.status, page.headers['cache-control'], page.headers['content-type']]).toEqual([
      200,
      'no-cache',
      'text/html; charset=utf-8',
    ])
    const asset = await get('/desk/assets/app-1a2b.js')
    expect([asset.status, asset.headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable'])
    expect(asset.headers['content-type']).toMatch(/javascript/)
    expect((await get('/desk/assets/codec-9z.wasm')).headers['content-type']).toBe('application/wasm')
  })

  it('travel compressed to whoever takes that', async () => {
    const zipped = await get('/desk/assets/app-1a2b.js', { 'Accept-Encoding': 'gzip' })
    expect(zipped.headers['content-encoding']).toBe('gzip')
    expect(gunzipSync(zipped.body).toString()).toBe(script)
    expect(zipped.body.length).toBeLessThan(script.length / 10)
    expect((await get('/desk/assets/app-1a2b.js', { 'Accept-Encoding': 'gzip, br' })).headers['content-encoding']).toBe('br')
    expect((await get('/desk/assets/app-1a2b.js')).headers['content-encoding']).toBeUndefined()
  })

  it('are not sent again when the browser has them', async () => {
    const etag = String((await get('/desk/')).headers['etag'])
    expect((await get('/desk/', { 'If-None-Match': etag })).status).toBe(304)
  })

  it('answer the application for its own paths, and 404 for a missing file', async () => {
    expect((await get('/desk/consults/abc')).body.toString()).toContain('app-1a2b')
    expect((await get('/desk/archive/studies/1.2.840.113.7001')).body.toString()).toContain('app-1a2b')
    expect((await get('/desk/assets/old-0.js')).status).toBe(404)
    expect((await get('/desk?task=1')).headers['location']).toBe('/desk/?task=1')
    expect((await get('/')).headers['location']).toBe('/desk/')
  })

  it('let nobody out of their folder', async () => {
    for (const path of [
      '/desk/../outside.txt',
      '/desk/..%2foutside.txt',
      '/desk/%2e%2e/outside.txt',
      '/desk/assets/..%5c..%5coutside.txt',
      '/desk//etc/passwd',
      '/desk/%00',
      '/desk/%zz',
    ]) {
      const answer = await get(path)
      expect(answer.body.toString(), path).not.toMatch(/^outside|root:/)
    }
    expect((await get('/desk/.secret')).body.toString()).not.toBe('x')
    expect((await get('/desk/assets/')).body.toString()).not.toContain('codec-9z') // no listing
  })

  it('show a new build at the next load', async () => {
    await new Promise((done) => setTimeout(done, 20))
    await writeFile(join(dist, 'assets', 'app-3c4d.js'), 'new')
    await writeFile(join(dist, 'index.html'), '<!doctype html><script type="module" src="/desk/assets/app-3c4d.js"></script>')
    expect((await get('/desk/')).body.toString()).toContain('app-3c4d')
    expect((await get('/desk/assets/app-3c4d.js')).body.toString()).toBe('new')
  })
})
