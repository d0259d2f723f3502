import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { connect as connectTls, type DetailedPeerCertificate } from 'node:tls'
import { NATS_TLS_NAME, type Log } from 'service-kit'
import type { EpochMs } from 'specs'
import type { Safe } from './secret-files.ts'
import { ensureNatsTls, natsTlsFiles } from './tls.ts'

export interface NatsCertificateParts {
  readonly dir: string
  /** As the hub itself reaches it. */
  readonly natsUrl: string
  readonly names: readonly string[]
  readonly safe: Safe
  /** Asks nats-server to read its certificate again; the older ones cannot. */
  readonly reload: () => Promise<boolean>
  readonly log: Log
  readonly now?: () => EpochMs
}

/** What nats-server shows to nodes. */
export interface NatsCertificateState {
  /** End of the certificate that the server shows; null while it cannot be reached. */
  readonly expires: EpochMs | null
  /** A newer one lies ready, which the server has not read: somebody must restart or reload it (SIGHUP). */
  readonly waitsForReload: boolean
}

const TIMEOUT_MS = 5_000

/**
 * Renews the TLS certificate of nats-server while it runs. The files are ours, the server is not: it is asked to read them again, and what
 * it really shows is looked at, because an expired certificate would shut out every node at once.
 */
export class NatsCertificate {
  readonly #parts: NatsCertificateParts
  #state: NatsCertificateState = { expires: null, waitsForReload: false }

  constructor(parts: NatsCertificateParts) {
    this.#parts = parts
  }

  get state(): NatsCertificateState {
    return this.#state
  }

  /** One look; repeated by the hub. */
  async look(): Promise<void> {
    const { dir, names, safe, reload, log, now = Date.now } = this.#parts
    if (await ensureNatsTls(dir, names, { now: now(), safe })) log.info('nats-server has a new TLS certificate')
    const ready = new X509Certificate(await readFile(natsTlsFiles(dir).server.certificate))
    let shown = await this.#shown()
    if (shown && shown.fingerprint256 !== ready.fingerprint256 && (await reload())) shown = await this.#shown()
    const waitsForReload = shown !== undefined && shown.fingerprint256 !== ready.fingerprint256
    if (waitsForReload && !this.#state.waitsForReload)
      log.warn({ expires: shown?.valid_to }, 'nats-server still shows its former TLS certificate: restart it, or send it SIGHUP, before that one ends')
    this.#state = { expires: shown ? new Date(shown.valid_to).getTime() : null, waitsForReload }
  }

  async #shown(): Promise<DetailedPeerCertificate | undefined> {
    try {
      return await shownCertificate(this.#parts.natsUrl)
    } catch (error) {
      this.#parts.log.debug({ err: error }, 'nats-server not reached to look at its certificate')
      return undefined
    }
  }
}

/** The server greets in clear and then speaks TLS on the same connection. Nothing is said to it here, so nothing is believed either. */
async function shownCertificate(natsUrl: string): Promise<DetailedPeerCertificate> {
  const { hostname, port } = new URL(natsUrl)
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  const plain = connect({ host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || '4222'), signal })
  try {
    await once(plain, 'data', { signal })
    const secure = connectTls({ socket: plain, servername: NATS_TLS_NAME, rejectUnauthorized: false })
    await once(secure, 'secureConnect', { signal })
    const certificate = secure.getPeerCertificate(true)
    secure.destroy()
    return certificate
  } finally {
    plain.destroy()
  }
}
