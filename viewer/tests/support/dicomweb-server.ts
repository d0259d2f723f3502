import { createServer, type ServerResponse } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname, join, normalize } from 'node:path'
import type { AddressInfo } from 'node:net'
import process from 'node:process'
import { CannedNode } from './canned-node.ts'
import { readDicomFolders, type ServedInstance } from './dicom-folder.ts'

/** The policy that a node sends with its pages; the viewer must work under it. */
const contentSecurityPolicy =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; img-src 'self' data: blob:; connect-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; font-src 'self' data:; object-src 'none'; frame-ancestors 'self'"
const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.wasm': 'application/wasm',
}

export interface ViewerServer {
  readonly url: string
  readonly node: CannedNode
  readonly instances: readonly ServedInstance[]
  /** From now on frames of this instance are refused, until told otherwise. */
  breakInstance(sop: string, broken: boolean): void
  /** Milliseconds that every frame takes. */
  slowDown(delayMs: number): void
  close(): Promise<void>
}

/** Serves real DICOM files as QIDO-RS and WADO-RS, the built viewer at /viewer/, and a canned node at /api. */
export async function serveViewer(options: {
  folders: readonly string[]
  dist: string
  study?: string
  port?: number
}): Promise<ViewerServer> {
  const instances = readDicomFolders(...options.folders)
  const study = options.study ?? instances[0]?.study ?? ''
  const node = new CannedNode(instances, study)
  const broken = new Set<string>()
  let delayMs = 0

  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://viewer').pathname)
    response.setHeader('content-security-policy', contentSecurityPolicy)
    const answered = path.startsWith('/api/')
      ? node.answer(request, response, path)
      : path.startsWith('/dicom-web/')
        ? dicomWeb(path, response)
        : page(path, response)
    answered.catch((error: unknown) => response.headersSent || response.writeHead(500).end(String(error)))
  })

  async function dicomWeb(path: string, response: ServerResponse): Promise<void> {
    const [, studyUid, series, sop, frame, rest] =
      /^\/dicom-web\/studies\/([\d.]+)(?:\/series(?:\/([\d.]+))?)?(?:\/instances\/([\d.]+))?(?:\/frames\/(\d+))?(?:\/(\w+))?$/.exec(path) ??
      []
    const own = instances.filter(
      (instance) => instance.study === studyUid && (!series || instance.series === series) && (!sop || instance.sop === sop),
    )
    if (own.length === 0) return refuse(response, 404, 'archive/unknown-study', '没有该检查')
    if (rest === 'metadata')
      return json(
        response,
        own.map((instance) => ({ ...instance.metadata, '00083002': { vr: 'UI', Value: [instance.transferSyntax] } })),
      )
    if (rest === 'thumbnail') return refuse(response, 406, 'archive/not-renderable', '该影像无法渲染')
    if (sop && frame) return sendFrame(response, own[0] as ServedInstance, Number(frame))
    const bySeries = new Map(own.map((instance) => [instance.series, instance.metadata]))
    json(
      response,
      [...bySeries].map(([uid, metadata]) => ({
        ...metadata,
        '00201209': { vr: 'IS', Value: [own.filter((instance) => instance.series === uid).length] },
      })),
    )
  }

  async function sendFrame(response: ServerResponse, instance: ServedInstance, frame: number): Promise<void> {
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
    const pixels = instance.frames[frame - 1]
    if (broken.has(instance.sop) || !pixels) return refuse(response, 503, 'region/hospital-offline', '对方医院当前离线')
    response.writeHead(200, {
      'content-type': `multipart/related; type="application/octet-stream"; boundary=cut`,
      'cache-control': 'no-store',
    })
    response.write(`--cut\r\nContent-Type: application/octet-stream; transfer-syntax=${instance.transferSyntax}\r\n\r\n`)
    response.write(pixels)
    response.end('\r\n--cut--\r\n')
  }

  async function page(path: string, response: ServerResponse): Promise<void> {
    const inside = normalize(path.replace(/^\/viewer\/?/, '')).replace(/^(\.\.[/\\])+/, '')
    const file = join(options.dist, inside === '.' || inside === '' ? 'index.html' : inside)
    const content = await readFile(file).catch(() => undefined)
    if (content)
      response
        .writeHead(200, {
          'content-type': types[extname(file)] ?? 'application/octet-stream',
          'cache-control': path.includes('/assets/') ? 'public, max-age=31536000, immutable' : 'no-cache',
        })
        .end(content)
    else response.writeHead(404).end()
  }

  await new Promise<void>((resolve) => server.listen(options.port ?? 0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    node,
    instances,
    breakInstance: (sop, isBroken) => void (isBroken ? broken.add(sop) : broken.delete(sop)),
    slowDown: (ms) => void (delayMs = ms),
    close: () => new Promise((resolve) => (server.closeAllConnections(), server.close(() => resolve()))),
  }
}

function json(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { 'content-type': 'application/dicom+json' }).end(JSON.stringify(body))
}

function refuse(response: ServerResponse, status: number, code: string, title: string): void {
  response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ code, title, titleEn: code }))
}

// By hand: npx tsx viewer/tests/support/dicomweb-server.ts <port> <folder> …
if (process.argv[1] === import.meta.filename) {
  const [port, ...folders] = process.argv.slice(2)
  const served = await serveViewer({ folders, dist: join(import.meta.dirname, '../../dist'), port: Number(port) })
  console.log(`${served.url}/viewer/?study=${served.node.study}&task=${served.node.taskId}`)
}
