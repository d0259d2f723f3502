import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { issueHubUser, issueSystemUser, operatorClaims, regionClaims, type Revocations, systemClaims } from './claims.ts'
import { loadOrCreateKeys, type NatsKeys, readOrUndefined, writePrivate } from './keys.ts'
import { NatsRegister } from './register.ts'
import { ensureNatsTls, isNatsTlsOn, type NatsTlsMode, natsTlsFiles } from './tls.ts'
import { preloadText, serverConfigText } from './server-config.ts'

export interface PrepareOptions {
  /** Folder of the hub that holds keys, credentials and the server's configuration. */
  readonly dir: string
  /** Where nats-server listens. */
  readonly host: string
  readonly port: number
  /** Folder of nats-server: streams and account claims. May be emptied; nothing in it is the only copy. */
  readonly storeDir: string
  /** As `nats-server --version` says, e.g. `2.9.10`; unknown → only settings that every version ≥ 2.9 has. */
  readonly serverVersion?: string
  /** `auto` unless told: TLS wherever `host` is not loopback. */
  readonly tls?: NatsTlsMode
  /** Names and addresses by which others reach the server, for its certificate. */
  readonly names?: readonly string[]
}

export interface PreparedNats {
  readonly configFile: string
  readonly hubCredentialsFile: string
  readonly hubCredentials: string
}

const files = { config: 'nats-server.conf', preload: 'accounts.conf', hub: 'hub.creds', system: 'system.creds' } as const

/**
 * Makes `dir` ready for a nats-server in operator mode: keys and credentials once, configuration anew each time.
 * Repeating it keeps keys, credentials and revocations, so nodes admitted earlier stay admitted and revoked ones revoked.
 */
export async function prepareNats(options: PrepareOptions): Promise<PreparedNats> {
  const dir = resolve(options.dir)
  const storeDir = resolve(options.storeDir)
  const keys = await loadOrCreateKeys(dir)
  await mkdir(storeDir, { recursive: true, mode: 0o700 })
  const register = await NatsRegister.open(dir)
  await writePreload(dir, keys, register.revocations)
  const tls = isNatsTlsOn(options.tls ?? 'auto', options.host)
  if (tls) await ensureNatsTls(dir, [...(options.names ?? []), ...(isWildcard(options.host) ? [] : [options.host])])
  const { certificate, privateKey } = natsTlsFiles(dir).server
  const configFile = join(dir, files.config)
  await writePrivate(
    configFile,
    serverConfigText({
      host: options.host,
      port: options.port,
      storeDir,
      operatorJwt: await operatorClaims(keys),
      systemAccount: keys.system.getPublicKey(),
      preloadFile: files.preload,
      serverVersion: options.serverVersion,
      ...(tls && { tls: { certFile: certificate, keyFile: privateKey } }),
    }),
  )
  const hubCredentialsFile = join(dir, files.hub)
  const hubCredentials = await keepOrWrite(hubCredentialsFile, async () => (await issueHubUser(keys)).credentials)
  await keepOrWrite(join(dir, files.system), async () => (await issueSystemUser(keys)).credentials)
  return { configFile, hubCredentialsFile, hubCredentials }
}

const isWildcard = (host: string): boolean => ['0.0.0.0', '::', ''].includes(host)

/** The claims a starting server reads first; with them a revocation outlives even a server whose store was lost. */
export async function writePreload(dir: string, keys: NatsKeys, revocations: Revocations): Promise<string> {
  const regionJwt = await regionClaims(keys, revocations)
  const claims = { [keys.system.getPublicKey()]: await systemClaims(keys), [keys.region.getPublicKey()]: regionJwt }
  await writePrivate(join(dir, files.preload), preloadText(claims))
  return regionJwt
}

export async function readSystemCredentials(dir: string): Promise<string> {
  const text = await readOrUndefined(join(dir, files.system))
  if (text === undefined) throw new Error(`${dir} has no ${files.system}: run prepareNats first`)
  return text
}

async function keepOrWrite(file: string, make: () => Promise<string>): Promise<string> {
  const held = await readOrUndefined(file)
  if (held !== undefined) return held
  const made = await make()
  await writePrivate(file, made)
  return made
}
