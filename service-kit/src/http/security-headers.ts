import type { RequestHandler } from 'express'
import helmet from 'helmet'

/** What no page of ours uses, and no injected script shall. Security keys and full screen stay. */
const permissions = ['accelerometer', 'camera', 'display-capture', 'geolocation', 'gyroscope', 'magnetometer', 'microphone', 'midi', 'payment', 'usb']

/**
 * Headers for every answer. Pages run and load only what is their own; nothing is inline, except style attributes, which the drawing
 * of measurements sets (cornerstone, SVG): an attribute can restyle one element, but not read the page as an inserted sheet could.
 */
export function securityHeaders(): RequestHandler {
  const secure = helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        'default-src': ["'self'"],
        'script-src': ["'self'", "'wasm-unsafe-eval'"], // the codecs of the viewer are WebAssembly
        'style-src': ["'self'"], // browsers that do not know the two below
        'style-src-elem': ["'self'"],
        'style-src-attr': ["'unsafe-inline'"],
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
    // Nothing that shows a patient stays in a browser's or a proxy's cache; the files of the pages say otherwise themselves.
    response.set({ 'Cache-Control': 'no-store', 'Permissions-Policy': permissions.map((feature) => `${feature}=()`).join(', ') })
    secure(request, response, next)
  }
}
