import { lookup as resolveName } from 'node:dns/promises'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { Problem } from 'specs'
import { isLoopbackHost } from '../http/listen.ts'
import { kindOfAddress, type AddressKind } from './address.ts'
import { isSubnet, OutboundConfig } from './config.ts'

/** For what somebody's address is used; it decides how it must begin. */
export type OutboundPurpose = 'hub' | 'nats' | 'dicom-node' | 'oidc' | 'syslog' | 'object-store'

const schemes: Readonly<Record<OutboundPurpose, readonly string[]>> = {
  hub: ['http:', 'https:'],
  nats: ['nats:', 'tls:', 'ws:', 'wss:'],
  'dicom-node': [],
  oidc: ['https:', 'http:'],
  syslog: [],
  'object-store': ['https:', 'http:'],
}

export interface Resolved {
  readonly address: string
  readonly family: 4 | 6
}
export type Resolve = (host: string) => Promise<readonly Resolved[]>

const resolveByDns: Resolve = async (host) =>
  (await resolveName(host, { all: true })).map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }))

export interface OutboundOptions {
  readonly config?: OutboundConfig
  /** How the service's own pages are reached, for `loopback: 'auto'`. */
  readonly own?: { readonly host: string; readonly behindProxy: boolean }
  readonly resolve?: Resolve
}

/**
 * The one gate through which every address goes that somebody entered or sent (SSRF): a hub, a DICOM node, an identity provider.
 * The address is judged after its name was resolved, and that very address is connected to, so a name that means something else a
 * moment later (DNS rebinding) changes nothing.
 */
export class Outbound {
  readonly #config: OutboundConfig
  readonly #resolve: Resolve
  readonly #mayLoopback: boolean
  readonly #subnets = new BlockList()
  readonly #names: readonly string[]

  constructor({ config = OutboundConfig.parse({}), own = { host: '127.0.0.1', behindProxy: false }, resolve = resolveByDns }: OutboundOptions = {}) {
    this.#config = config
    this.#resolve = resolve
    this.#mayLoopback = config.loopback === 'allowed' || (config.loopback === 'auto' && isLoopbackHost(own.host) && !own.behindProxy)
    for (const subnet of config.only.filter(isSubnet)) {
      const [address = '', prefix] = subnet.split('/')
      const family = isIP(address) === 4 ? 'ipv4' : 'ipv6'
      this.#subnets.addSubnet(address, prefix === undefined ? (family === 'ipv4' ? 32 : 128) : Number(prefix), family)
    }
    this.#names = config.only.filter((entry) => !isSubnet(entry))
  }

  /**
   * Looks at an address before it is saved, so that the refusal comes where it was entered. It is looked at again at every connection.
   *
   * @param address a URL, or the host alone for DICOM nodes and syslog.
   * @throws {Problem} outbound/refused. A name that cannot be resolved now is no refusal: the network may be down.
   */
  async check(purpose: OutboundPurpose, address: string): Promise<void> {
    const host = schemes[purpose].length === 0 ? address : this.#hostOf(purpose, address)
    await this.addressOf(purpose, host).catch((error: unknown) => {
      if (error instanceof Problem) throw error
    })
  }

  /**
   * The checked address to connect to; the name stays what certificates are compared with.
   *
   * @throws {Problem} outbound/refused; an Error when the name cannot be resolved.
   */
  async addressOf(purpose: OutboundPurpose, host: string): Promise<Resolved> {
    const bare = host.replace(/^\[|\]$/g, '').toLowerCase()
    const literal = isIP(bare)
    const found = literal === 0 ? await this.#resolve(bare) : [{ address: bare, family: literal === 6 ? 6 : 4 } as const]
    // All of them: otherwise a name with one good and one bad address would pass now and then.
    for (const { address } of found) this.#judge(purpose, bare, address)
    const [first] = found
    if (first === undefined) throw new Error(`${bare} has no address`)
    return first
  }

  /** For `net.connect` and `http.request`: names resolve to checked addresses only. Addresses themselves do not come here, see addressOf(). */
  lookupFor(purpose: OutboundPurpose): LookupFunction {
    return (host, options, callback) => {
      this.addressOf(purpose, host).then(
        ({ address, family }) => (options.all ? callback(null, [{ address, family }]) : callback(null, address, family)),
        (error: unknown) => callback(error instanceof Error ? error : new Error(String(error)), '', 0),
      )
    }
  }

  #hostOf(purpose: OutboundPurpose, address: string): string {
    const url = URL.canParse(address) ? new URL(address) : undefined
    if (url === undefined || !schemes[purpose].includes(url.protocol)) throw refused(purpose, { reason: 'scheme', allowed: schemes[purpose] })
    if (url.username !== '' || url.password !== '') throw refused(purpose, { reason: 'credentials in the address' })
    // Of schemes that browsers do not know, the parser leaves the host as written.
    return url.hostname
  }

  #judge(purpose: OutboundPurpose, host: string, address: string): void {
    const kind = kindOfAddress(address)
    const isForbidden: Readonly<Record<AddressKind, boolean>> = {
      public: false,
      private: false,
      loopback: !this.#mayLoopback,
      'link-local': true,
      metadata: true,
      reserved: true,
    }
    if (isForbidden[kind]) throw refused(purpose, { reason: kind, host })
    if (this.#config.only.length > 0 && !this.#isListed(host, address)) throw refused(purpose, { reason: 'not in outbound.only', host })
  }

  #isListed(host: string, address: string): boolean {
    const isNamed = this.#names.some((name) => (name.startsWith('*.') ? host.endsWith(name.slice(1)) : host === name))
    return isNamed || this.#subnets.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6')
  }
}

/** The resolved address stays out of the answer: whoever asks must not map the inner network by what is refused. */
const refused = (purpose: OutboundPurpose, facts: Record<string, unknown>) => new Problem('outbound/refused', { purpose, ...facts })
