import { existsSync } from 'node:fs'
import { join } from 'node:path'
import express, { type RequestHandler, type Response } from 'express'
import { noteOfResponse } from './request-log.ts'

/**
 * Serves a built single-page application. Files under `assets/` have their digest in the name and never change; index.html is asked for
 * every time, so that a new version is seen at the next load. Paths of the application itself all answer index.html.
 */
export function pages(prefix: string, distFolder: string): RequestHandler {
  const index = join(distFolder, 'index.html')
  const files = express.static(distFolder, {
    index: false,
    redirect: false,
    dotfiles: 'ignore',
    setHeaders: (response: Response, file: string) =>
      response.set('Cache-Control', file.startsWith(join(distFolder, 'assets')) ? IMMUTABLE : 'no-cache'),
  })
  return (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') return next()
    const note = noteOfResponse(response)
    note.route = `${prefix}/`
    note.quiet = true
    if (request.originalUrl.split('?')[0] === prefix) return response.redirect(308, `${prefix}/`)
    if (!existsSync(index)) return notBuilt(response, prefix)
    files(request, response, (error?: unknown) => {
      if (error !== undefined) return next(error)
      if (/\.\w+$/.test(request.path)) return next() // a missing file is 404, not a page
      response.set('Cache-Control', 'no-cache')
      response.sendFile(index, (failure?: Error) => {
        if (failure && !response.headersSent) next(failure)
      })
    })
  }
}

const IMMUTABLE = 'public, max-age=31536000, immutable'

function notBuilt(response: Response, prefix: string): void {
  response.status(503).set({ 'Cache-Control': 'no-store', 'Retry-After': '30' }).type('html').send(`<!doctype html>
<html lang="zh-CN"><head><meta charset="utf-8"><title>${prefix}</title></head>
<body><h1>页面尚未构建</h1><p>请在项目根目录运行 <code>npm run build</code>，然后刷新。</p>
<p lang="en">These pages have not been built yet. Run <code>npm run build</code> in the project folder, then reload.</p></body></html>`)
}
