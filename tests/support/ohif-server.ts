import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, request as ask, type IncomingMessage, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.json': 'application/json', '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm', '.woff2': 'font/woff2', '.png': 'image/png', '.ico': 'image/x-icon',
}

/**
 * OHIF as a hospital would put it before its node: the published pages, a configuration that names our DICOMweb and sends
 * the bearer token, and `/dicom-web` of the node under the same origin, as a reverse proxy does. Nothing is rewritten.
 */
export async function serveOhif(options: { pages: string; nodeUrl: string; token: string }): Promise<{ url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://ohif').pathname)
    if (path.startsWith('/dicom-web')) return forward(request, response, options.nodeUrl)
    if (path === '/app-config.js') return void response.setHeader('Content-Type', 'text/javascript').end(configuration(options.token))
    const file = join(options.pages, normalize(path))
    const isFile = file.startsWith(options.pages) && existsSync(file) && statSync(file).isFile()
    // Addresses of its router are none of files: the page itself answers them.
    const sent = isFile ? file : extname(path) === '' ? join(options.pages, 'index.html') : undefined
    if (!sent) return void response.writeHead(404).end()
    response.setHeader('Content-Type', types[extname(sent)] ?? 'application/octet-stream')
    createReadStream(sent).pipe(response)
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function forward(request: IncomingMessage, response: ServerResponse, nodeUrl: string): void {
  const target = new URL(request.url ?? '/', nodeUrl)
  const forwarded = ask(target, { method: request.method, headers: { ...request.headers, host: target.host } }, (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(response)
  })
  forwarded.once('error', () => response.headersSent || response.writeHead(502).end())
  response.once('close', () => forwarded.destroy())
  request.pipe(forwarded)
}

/** Settings of OHIF 3.13 for a DICOMweb archive that wants a bearer token; an inline extension is where it takes one. */
function configuration(token: string): string {
  const settings = {
    name: 'lianpian', routerBasename: '/', modes: [], customizationService: {}, showStudyList: true, maxNumberOfWebWorkers: 1,
    showWarningMessageForCrossOrigin: false, showCPUFallbackMessage: false, showLoadingIndicator: true, strictZSpacingForVolumeViewport: true,
    investigationalUseDialog: { option: 'never' },
    maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
    defaultDataSourceName: 'lianpian',
    dataSources: [
      {
        namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
        sourceName: 'lianpian',
        configuration: {
          friendlyName: 'Lianpian node', name: 'lianpian',
          qidoRoot: '/dicom-web', wadoRoot: '/dicom-web', wadoUriRoot: '/wado',
          qidoSupportsIncludeField: true, supportsFuzzyMatching: false, supportsWildcard: true,
          imageRendering: 'wadors', thumbnailRendering: 'thumbnail', enableStudyLazyLoad: true,
          bulkDataURI: { enabled: true }, omitQuotationForMultipartRequest: false,
        },
      },
    ],
  }
  return `window.config = ${JSON.stringify(settings)}
window.config.extensions = [{
  id: 'lianpian-token',
  preRegistration: ({ servicesManager }) =>
    servicesManager.services.userAuthenticationService.setServiceImplementation({ getAuthorizationHeader: () => ({ Authorization: 'Bearer ${token}' }) }),
}]
window.config.httpErrorHandler = (error) => console.error('http', error.status, error.message)
`
}
