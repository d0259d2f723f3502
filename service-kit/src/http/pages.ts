import { extname } from 'node:path'
import type { Request, RequestHandler, Response } from 'express'
import { Problem } from 'specs'
import { PageFiles } from './page-files.ts'
import { noteOfResponse } from './request-log.ts'

const IMMUTABLE = 'public, max-age=31536000, immutable'

/**
 * Serves a built single-page application. Files under `assets/` have their digest in the name and never change; index.html is asked for
 * every time, so that a new version is seen at the next load. Paths of the application itself all answer index.html.
 */
export function pages(prefix: string, distFolder: string): RequestHandler {
  const files = new PageFiles(distFolder)
  return async (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return next()
    const note = noteOfResponse(response)
    note.route = `${prefix}/`
    note.quiet = true
    const [asked = '', query] = request.originalUrl.split('?', 2)
    if (asked === prefix) return response.redirect(308, `${prefix}/${query === undefined ? '' : `?${query}`}`)
    if ((await files.refresh()) === 'missing') return notBuilt(response, prefix)
    await send(files, pathOf(request), request, response)
  }
}

/** @throws {Problem} request/not-found for a file that is not there; a path without an ending belongs to the application. */
async function send(files: PageFiles, path: string, request: Request, response: Response): Promise<void> {
  const file = files.has(path) ? path : '/index.html'
  // A UID in the page's own address has dots as well; what ends in figures alone is no file.
  if (file !== path && /[a-z]/i.test(extname(path))) throw new Problem('request/not-found')
  const { encoding, bytes } = await files.body(file, (encodings) => request.acceptsEncodings(encodings))
  response.set({
    'Cache-Control': file.startsWith('/assets/') ? IMMUTABLE : 'no-cache',
    ETag: files.etag(file, encoding),
    Vary: 'Accept-Encoding',
  })
  if (encoding !== 'identity') response.set('Content-Encoding', encoding)
  response.type(extname(file)).send(bytes)
}

function pathOf(request: Request): string {
  try {
    return decodeURIComponent(request.path)
  } catch (error) {
    throw new Problem('request/invalid', { what: 'path' }, { cause: error })
  }
}

function notBuilt(response: Response, prefix: string): void {
  response.status(503).set({ 'Cache-Control': 'no-store', 'Retry-After': '30' }).type('html').send(`<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>${prefix}</title></head>
<body><h1>页面尚未构建</h1><p>请在项目根目录运行 <code>npm run build</code>，然后刷新。</p>
<p lang="en">These pages have not been built yet. Run <code>npm run build</code> in the project folder, then reload.</p></body></html>`)
}
