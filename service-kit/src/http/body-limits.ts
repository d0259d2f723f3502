import type { Request, RequestHandler, Response } from 'express'
import { Problem } from 'specs'
import { sendProblem } from './problem-answer.ts'

export interface BodyLimits {
  /** Largest body of any request; JSON doors have smaller limits of their own. */
  readonly maxBytes: number
  /** In each such span a body must bring `minBytes`, unless it is we who have not read what is there. */
  readonly stallMs: number
  readonly minBytes: number
}

export const usualBodyLimits: BodyLimits = { maxBytes: 64 * 1024 ** 3, stallMs: 30_000, minBytes: 16 * 1024 }

/**
 * What every request body must keep to before anybody reads it (SEC-09): no compression, which would let a small body become a
 * huge one; not larger than allowed; and not so slow that it holds a connection for nothing.
 */
export function guardBodies(limits: Partial<BodyLimits> = {}): RequestHandler {
  const { maxBytes, stallMs, minBytes } = { ...usualBodyLimits, ...limits }
  return (request, response, next) => {
    if (!hasBody(request)) return next()
    const encoding = (request.get('content-encoding') ?? 'identity').trim().toLowerCase()
    if (encoding !== 'identity') throw new Problem('request/unsupported-media', { contentEncoding: encoding.slice(0, 40) })
    if (Number(request.get('content-length') ?? 0) > maxBytes) throw new Problem('request/too-large', { limitBytes: maxBytes })
    limitSize(request, maxBytes)
    refuseSlow(request, response, stallMs, minBytes)
    next()
  }
}

const hasBody = (request: Request): boolean =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0

/** A chunked body has no announced size: it is counted while it arrives, and cut. */
function limitSize(request: Request, maxBytes: number): void {
  const push = request.push.bind(request)
  let bytes = 0
  request.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk instanceof Uint8Array) bytes += chunk.byteLength
    if (bytes <= maxBytes) return push(chunk, encoding)
    request.destroy(new Problem('request/too-large', { limitBytes: maxBytes }))
    return false
  }
}

function refuseSlow(request: Request, response: Response, stallMs: number, minBytes: number): void {
  let before = request.socket.bytesRead
  let isOurTurn = false
  const timer = setInterval(() => {
    const moved = request.socket.bytesRead - before
    before += moved
    if (request.complete || response.writableEnded) return clearInterval(timer)
    // What waits in the buffer has come in time; reading it is our part, and the peer may go on only afterwards.
    const wasOurTurn = isOurTurn
    isOurTurn = request.readableLength > 0
    if (moved >= minBytes || isOurTurn || wasOurTurn) return
    clearInterval(timer)
    if (!response.headersSent) sendProblem(response.set('Connection', 'close'), new Problem('request/too-slow', { stallMs, minBytes }))
    response.once('finish', () => request.socket.destroySoon())
    if (response.writableFinished) request.socket.destroySoon()
  }, stallMs)
  timer.unref()
  const rest = () => clearInterval(timer)
  request.once('end', rest)
  response.once('close', rest)
}

/** Deeper nesting than any message of ours has would only serve to exhaust whoever walks through it. */
const MAX_JSON_DEPTH = 64

/** Looks at the bytes before they are parsed. @throws {Problem} request/invalid */
export function refuseDeepJson(bytes: Uint8Array): void {
  let depth = 0
  let inString = false
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]
    if (inString) {
      if (byte === 0x5c) at += 1 // a backslash: whatever follows does not end the text
      else if (byte === 0x22) inString = false
    } else if (byte === 0x22) inString = true
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1
      if (depth > MAX_JSON_DEPTH) throw new Problem('request/invalid', { what: 'body', reason: 'nested too deeply', limit: MAX_JSON_DEPTH })
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1
  }
}
