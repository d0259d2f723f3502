import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import { type HospitalId, Problem, type RegionId } from 'specs'
import { natsTlsOptions, type Log } from 'service-kit'
import { z } from 'zod'
import { issueNodeUser } from './claims.ts'
import { loadOrCreateKeys, type NatsKeys } from './keys.ts'
import { readCredentials, writePreload } from './prepare.ts'
import { NatsRegister } from './register.ts'
import { sealedElsewhere, type Safe } from './secret-files.ts'

export interface AdministrationOptions {
  /** The folder that `prepareNats` made. */
  readonly dir: string
  readonly natsUrl: string
  /** PEM of the TLS root, when the address is `tls://`. */
  readonly natsCa?: string | undefined
  /** Keeps seeds and credentials unreadable at rest; what lies open is sealed now. */
  readonly safe?: Safe
  readonly log: Log
  /** Epoch ms. */
  readonly now?: () => number
}

const pushTimeoutMs = 3_000
const reconnectWaitMs = 500

/** nats-server's answer to a claims update. */
const ClaimsAnswer = z.object({
  data: z.object({ code: z.number() }).optional(),
  error: z.object({ code: z.number(), description: z.string().optional() }).optional(),
})

const ReloadAnswer = z.object({ error: z.unknown().optional() })

/**
 * Admits nodes to the region's NATS server and puts them out again. Claims are saved before they are pushed, and pushed
 * again at every (re)connect, so a revocation made while the server was away takes effect as soon as it is back.
 */
export class NatsAdministration {
  readonly #options: AdministrationOptions
  readonly #keys: NatsKeys
  readonly #register: NatsRegister
  #connection: NatsConnection | undefined
  #stopped = false
  /** Changes are made one after the other: each rewrites the same files. */
  #turn: Promise<unknown> = Promise.resolve()

  private constructor(options: AdministrationOptions, keys: NatsKeys, register: NatsRegister) {
    this.#options = options
    this.#keys = keys
    this.#register = register
  }

  /** Connects in the background; works before nats-server does. */
  static async open(options: AdministrationOptions): Promise<NatsAdministration> {
    const { dir, safe } = options
    const keys = await loadOrCreateKeys(dir, safe)
    if (!keys) throw sealedElsewhere(dir, 'operator.seed')
    const administration = new NatsAdministration(options, keys, await NatsRegister.open(dir))
    const credentials = await readCredentials(dir, 'system', safe)
    void administration.#stayConnected(credentials)
    return administration
  }

  /** Credentials of a joining node, for its eyes only; what the hospital held before is withdrawn. */
  issueNode(regionId: RegionId, hospitalId: HospitalId): Promise<{ credentials: string }> {
    return this.#inTurn(async () => {
      const replaces = this.#register.admittedOf(hospitalId).length > 0
      const user = await issueNodeUser(this.#keys, regionId, hospitalId)
      await this.#register.admit(hospitalId, user.publicKey, this.#nowSeconds())
      if (replaces) await this.#publishClaims()
      return { credentials: user.credentials }
    })
  }

  /**
   * The hospital's connection ends within seconds and cannot be made again.
   *
   * @returns `pushed: false` when the server was out of reach: then the revocation is saved and takes effect once it is back.
   */
  revokeNode(hospitalId: HospitalId): Promise<{ pushed: boolean }> {
    return this.#inTurn(async () => {
      await this.#register.revoke(hospitalId, this.#nowSeconds())
      return { pushed: await this.#publishClaims() }
    })
  }

  /** Asks nats-server to read its configuration and certificates again; from 2.10 on. @returns Whether it says that it did. */
  async reloadServer(): Promise<boolean> {
    const connection = this.#connection
    if (!connection?.info) return false
    try {
      const reply = await connection.request(`$SYS.REQ.SERVER.${connection.info.server_id}.RELOAD`, '', { timeout: pushTimeoutMs })
      return ReloadAnswer.parse(reply.json()).error === undefined
    } catch (error) {
      this.#options.log.debug({ err: error }, 'nats-server does not reload on request')
      return false
    }
  }

  async close(): Promise<void> {
    this.#stopped = true
    await this.#connection?.close()
  }

  async #publishClaims(): Promise<boolean> {
    const regionJwt = await writePreload(this.#options.dir, this.#keys, this.#register.revocations)
    if (this.#connection === undefined) return false
    try {
      await push(this.#connection, regionJwt)
      return true
    } catch (error) {
      this.#options.log.warn({ err: error }, 'NATS claims not pushed; they will be at the next connection')
      return false
    }
  }

  async #stayConnected(credentials: string): Promise<void> {
    while (!this.#stopped) {
      try {
        const authenticator = credsAuthenticator(new TextEncoder().encode(credentials))
        const connection = await connect({
          servers: this.#options.natsUrl,
          ...natsTlsOptions(this.#options),
          authenticator,
          name: 'hub-administration',
          reconnect: false,
          pingInterval: 10_000,
        })
        this.#connection = connection
        if (this.#stopped) await connection.close()
        else await this.#inTurn(() => this.#publishClaims())
        await connection.closed()
      } catch (error) {
        this.#options.log.debug({ err: error }, 'NATS administration not connected')
      }
      this.#connection = undefined
      if (!this.#stopped) await new Promise((resolve) => setTimeout(resolve, reconnectWaitMs).unref())
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work)
    this.#turn = result.catch(() => undefined)
    return result
  }

  #nowSeconds(): number {
    return Math.floor((this.#options.now ?? Date.now)() / 1_000)
  }
}

async function push(connection: NatsConnection, accountJwt: string): Promise<void> {
  const reply = await connection.request('$SYS.REQ.CLAIMS.UPDATE', accountJwt, { timeout: pushTimeoutMs })
  const answer = ClaimsAnswer.parse(reply.json())
  if (answer.data?.code !== 200) throw new Problem('service/unavailable', { what: 'nats-claims', answer: answer.error?.description })
}
