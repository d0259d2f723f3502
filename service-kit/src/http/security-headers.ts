import type { RequestHandler } from 'express'
import helmet from 'helmet'

/** Headers for every answer. Pages may run only their own scripts; nothing is inserted inline but styles (element-plus does). */
export function securityHeaders(): RequestHandler {
  const secure = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'self'"],
        'script-src': ["'self'", "'wasm-unsafe-eval'"], // the codecs of the viewer are WebAssembly
        'style-src': ["'self'", "'unsafe-inline'"],
        'img-src': ["'self'", 'data:', 'blob:'],
        'font-src': ["'self'", 'data:'],
        'media-src': ["'self'", 'blob:'],
        'connect-src': ["'self'", 'blob:', 'data:'],
        'worker-src': ["'self'", 'blob:'],
        'object-src': ["'none'"],
        'base-uri': ["'self'"],
        'form-action': ["'self'"],
        'frame-ancestors': ["'self'"],
      },
    },
    // Together they allow SharedArrayBuffer, which holds volumes for several workers at once.
    crossOriginOpenerPolicy: { policy: 'same-origin' },
    crossOriginEmbedderPolicy: { policy: 'require-corp' },
    crossOriginResourcePolicy: { policy: 'same-origin' },
    referrerPolicy: { policy: 'no-referrer' },
    strictTransportSecurity: false,
  })
  return (request, response, next) => {
    // Hospitals run plain HTTP inside and TLS at the proxy; only the latter may promise to stay.
    if (request.secure) response.set('Strict-Transport-Security', 'max-age=31536000')
    secure(request, response, next)
  }
}
