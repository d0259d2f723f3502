import { z } from 'zod'

/** PEM files of a server certificate with its chain, and of its key. */
export const TlsFiles = z.strictObject({
  /** The server's certificate, followed by those between it and the root. */
  certFile: z.string().min(1),
  /** PKCS#8 or SEC1, without passphrase; readable by the owner of the process alone. */
  keyFile: z.string().min(1),
})
export type TlsFiles = z.output<typeof TlsFiles>

/** How somebody reaches an HTTP face, shared by hub and node; each adds its host and port. */
export const httpSettings = {
  tls: TlsFiles.optional(),
  /**
   * Listening without TLS where others can reach it: refused unless a proxy in front ends TLS (then `trustProxy` says so, too), or
   * somebody decides to allow it, for a network of test machines. Loopback needs no word.
   */
  plain: z.enum(['refused', 'behind-proxy', 'allowed']).default('refused'),
  limits: z
    .strictObject({
      /** Open connections of one address; 0 means no limit of its own, as behind a proxy. */
      connectionsPerAddress: z.number().int().min(0).max(100_000).default(512),
      /** Requests of one address in ten seconds, over everything. A viewer that loads a large study asks some thousand times. */
      requestsPer10s: z.number().int().min(10).max(1_000_000).default(20_000),
      /** In a minute: by somebody not signed in, per address; changes and searches of one account. */
      openPerMinute: z.number().int().min(10).max(1_000_000).default(1_200),
      changesPerMinute: z.number().int().min(10).max(1_000_000).default(3_000),
      searchesPerMinute: z.number().int().min(10).max(1_000_000).default(3_000),
      /** Largest body of an upload (STOW-RS), in bytes. Instances are streamed to the disk, never held in memory. */
      uploadBytes: z.number().int().min(1_000_000).default(64 * 1024 ** 3),
    })
    .prefault({}),
} as const
export type HttpLimits = z.output<(typeof httpSettings)['limits']>
export type PlainHttp = z.output<(typeof httpSettings)['plain']>

const usual = httpSettings.limits.parse({})
export const usualLimits = (): HttpLimits => usual

/** For the configuration of hub and node: a proxy that ends TLS must also be believed, or cookies would be sent without `Secure`. */
export function checkProxy(http: { readonly plain: PlainHttp; readonly trustProxy: boolean | number | string }, context: z.RefinementCtx): void {
  if (http.plain !== 'behind-proxy' || http.trustProxy !== false) return
  context.addIssue({ code: 'custom', path: ['trustProxy'], message: 'plain 为 behind-proxy 时必须设置 trustProxy / needs trustProxy' })
}

/** With every path absolute. */
export const tlsFilesAt = (tls: TlsFiles | undefined, at: (path: string) => string): TlsFiles | undefined =>
  tls && { certFile: at(tls.certFile), keyFile: at(tls.keyFile) }
