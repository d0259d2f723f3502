import { isIP } from 'node:net'
import { modernTls } from '../http/tls.ts'

/**
 * The one name that nodes check at nats-server, whatever address leads there: a relay, a gate of the hospital, the far end of a
 * dedicated line. The region's TLS root certifies nothing but that server, so the name adds no trust and the address none either.
 */
export const NATS_TLS_NAME = 'nats.lianpian.internal'

export interface NatsTrust {
  /** `tls://…` demands TLS, also when the address in use is another one. */
  readonly natsUrl: string
  /** PEM of the region's TLS root; without it, `tls://` trusts the roots of the system and checks the host's name. */
  readonly natsCa?: string | undefined
}

/**
 * What the NATS client is told. With it the client gives up before it has said who it is when the server offers no TLS: nobody on the
 * way can make it speak in the clear.
 */
export function natsTlsOptions({ natsUrl, natsCa }: NatsTrust): { tls?: { minVersion: 'TLSv1.2'; ca?: string; servername?: string } } {
  if (!/^(?:tls|wss):/i.test(natsUrl)) return {}
  const { hostname } = new URL(natsUrl)
  // The connection may go to an address that the name was resolved to; the certificate is still compared with the name.
  const trusted = natsCa === undefined ? (isIP(hostname) === 0 ? { servername: hostname } : {}) : { ca: natsCa, servername: NATS_TLS_NAME }
  return { tls: { minVersion: modernTls.minVersion, ...trusted } }
}
