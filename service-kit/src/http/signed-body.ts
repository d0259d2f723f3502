import process from 'node:process'
import type { Request, RequestHandler } from 'express'
import { createSm3 } from 'pki'
import { parseSignedRequest, Problem } from 'specs'

/**
 * Holds the body of a signed request against the digest that its signature covers, while whoever reads the body reads it: JSON and
 * streams of gigabytes alike. Nothing is buffered; the reader fails at the end instead of ending well.
 */
export const signedBodies: RequestHandler = (request, _response, next) => {
  const presented = parseSignedRequest(request.get('authorization') ?? '')
  // At once and not after the first wait: node hands body bytes over as they come.
  if (presented !== undefined) watch(request, presented.bodySm3)
  next()
}

function watch(request: Request, expected: string): void {
  const digest = createSm3()
  const push = request.push.bind(request)
  request.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
    if (chunk instanceof Uint8Array) digest.update(chunk)
    if (chunk !== null || digest.digestHex() === expected) return push(chunk, encoding)
    // The reader may come later than the last byte. Without a reader the body has no effect, and its digest no meaning.
    whenRead(request, () => {
      if (request.listenerCount('error') === 0) return void request.destroy()
      request.emit('error', new Problem('access/request-signature', { reason: 'body' }))
      setImmediate(() => push(null))
    })
    return false
  }
}

function whenRead(request: Request, act: () => void): void {
  // Readers attach several listeners in one go; the error must find the one for errors.
  if (request.listenerCount('data') + request.listenerCount('readable') > 0) return void process.nextTick(act)
  const look = (name: string | symbol) => {
    if (name !== 'data' && name !== 'readable') return
    request.off('newListener', look)
    process.nextTick(act)
  }
  request.on('newListener', look)
}
