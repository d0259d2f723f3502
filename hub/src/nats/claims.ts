import { encodeAccount, encodeOperator, encodeUser, fmtCreds, type User } from '@nats-io/jwt'
import { createUser, type KeyPair } from '@nats-io/nkeys'
import { nodePermissions, type HospitalId, type RegionId } from 'specs'
import type { NatsKeys } from './keys.ts'

/** Public key of a NATS user → epoch seconds up to which its credentials no longer count. */
export type Revocations = Readonly<Record<string, number>>

const unlimited = -1
/** A node answers a request once; the asker has given up long before two minutes have passed. */
const answersPerRequest = 1
const answerWithinNs = 120 * 1_000_000_000

export const operatorClaims = (keys: NatsKeys): Promise<string> =>
  encodeOperator('lianpian', keys.operator, { system_account: keys.system.getPublicKey() })

const connectionLimits = {
  subs: unlimited,
  data: unlimited,
  payload: unlimited,
  imports: unlimited,
  exports: unlimited,
  wildcards: true,
  conn: unlimited,
  leaf: unlimited,
} as const
const jetStreamLimits = { mem_storage: unlimited, disk_storage: unlimited, streams: unlimited, consumer: unlimited } as const

/** JetStream stays off here: the server does not allow streams in its system account. */
export const systemClaims = (keys: NatsKeys): Promise<string> =>
  encodeAccount('system', keys.system, { limits: connectionLimits }, { signer: keys.operator })

export const regionClaims = (keys: NatsKeys, revocations: Revocations): Promise<string> =>
  encodeAccount(
    'region',
    keys.region,
    { limits: { ...connectionLimits, ...jetStreamLimits }, revocations: { ...revocations } },
    { signer: keys.operator },
  )

export interface IssuedUser {
  /** Public nkey, by which the user can be revoked. */
  readonly publicKey: string
  /** User JWT and seed in the format of `.creds` files. */
  readonly credentials: string
}

/** A hospital's node: hears its own branch, speaks in its own name, and nothing else (see `nodePermissions`). */
export function issueNodeUser(keys: NatsKeys, regionId: RegionId, hospitalId: HospitalId): Promise<IssuedUser> {
  const may = nodePermissions(regionId, hospitalId)
  const answers = may.allowResponses ? { resp: { max: answersPerRequest, ttl: answerWithinNs } } : {}
  return issueUser(hospitalId, keys.region, { pub: { allow: may.publish }, sub: { allow: may.subscribe }, ...answers })
}

/** The hub may do everything in the region account: it makes the streams and consumers. */
export const issueHubUser = (keys: NatsKeys): Promise<IssuedUser> => issueUser('hub', keys.region, {})

export const issueSystemUser = (keys: NatsKeys): Promise<IssuedUser> => issueUser('hub-system', keys.system, {})

async function issueUser(name: string, account: KeyPair, permissions: Partial<User>): Promise<IssuedUser> {
  const user = createUser()
  const limits = { subs: unlimited, data: unlimited, payload: unlimited }
  const token = await encodeUser(name, user, account, { ...limits, ...permissions })
  return { publicKey: user.getPublicKey(), credentials: new TextDecoder().decode(fmtCreds(token, user)) }
}
