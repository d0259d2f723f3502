import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { issueHubUser, issueSystemUser, operatorClaims, regionClaims, type Revocations, systemClaims } from './claims.ts'
import { loadOrCreateKeys, type NatsKeys } from './keys.ts'
import { NatsRegister } from './register.ts'
import { readOrUndefined, sealedElsewhere, secretFilesIn, writePrivate, type Safe } from './secret-files.ts'
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
  /** undefined when the hub has sealed them. */
  readonly hubCredentials: string | undefined
}

const files = { config: 'nats-server.conf', preload: 'accounts.conf', public: 'operator.json', hub: 'hub.creds', system: 'system.creds' } as const

/** What the configuration needs of the keys, and everybody may read. */
const PublicPart = z.object({ operatorJwt: z.string(), systemAccount: z.string() })

/**
 * Makes `dir` ready for a nats-server in operator mode: keys and credentials once, configuration anew each time.
 * Repeating it keeps keys, credentials and revocations, so nodes admitted earlier stay admitted and revoked ones revoked; once the hub
 * has sealed the keys it reads none.
 */
export async function prepareNats(options: PrepareOptions): Promise<PreparedNats> {
  const dir = resolve(options.dir)
  const storeDir = resolve(options.storeDir)
  const keys = await loadOrCreateKeys(dir)
  await mkdir(storeDir, { recursive: true, mode: 0o700 })
  if (keys) await writePreload(dir, keys, (await NatsRegister.open(dir)).revocations)
  const { operatorJwt, systemAccount } = await publicPart(dir, keys)
  const tls = isNatsTlsOn(options.tls ?? 'auto', options.host)
  if (tls) await ensureNatsTls(dir, natsNames(options))
  const { certificate, privateKey } = natsTlsFiles(dir).server
  const configFile = join(dir, files.config)
  await writePrivate(
    configFile,
    serverConfigText({
      host: options.host,
      port: options.port,
      storeDir,
      operatorJwt,
      systemAccount,
      preloadFile: files.preload,
      serverVersion: options.serverVersion,
      ...(tls && { tls: { certFile: certificate, keyFile: privateKey } }),
    }),
  )
  const hubCredentials = await keepOrWrite(dir, files.hub, keys && (async () => (await issueHubUser(keys)).credentials))
  await keepOrWrite(dir, files.system, keys && (async () => (await issueSystemUser(keys)).credentials))
  return { configFile, hubCredentialsFile: join(dir, files.hub), hubCredentials }
}

async function publicPart(dir: string, keys: NatsKeys | undefined): Promise<z.output<typeof PublicPart>> {
  const file = join(dir, files.public)
  if (!keys) {
    const text = await readOrUndefined(file)
    if (text === undefined) throw sealedElsewhere(dir, 'operator.seed')
    return PublicPart.parse(JSON.parse(text))
  }
  const made = { operatorJwt: await operatorClaims(keys), systemAccount: keys.system.getPublicKey() }
  await writePrivate(file, `${JSON.stringify(made, undefined, 2)}\n`)
  return made
}

/** Besides the one that every node checks: whatever the server may be called by. */
export const natsNames = ({ names = [], host }: Pick<PrepareOptions, 'names' | 'host'>): string[] => [...names, ...(isWildcard(host) ? [] : [host])]

const isWildcard = (host: string): boolean => ['0.0.0.0', '::', ''].includes(host)

/** The claims a starting server reads first; with them a revocation outlives even a server whose store was lost. */
export async function writePreload(dir: string, keys: NatsKeys, revocations: Revocations): Promise<string> {
  const regionJwt = await regionClaims(keys, revocations)
  const claims = { [keys.system.getPublicKey()]: await systemClaims(keys), [keys.region.getPublicKey()]: regionJwt }
  await writePrivate(join(dir, files.preload), preloadText(claims))
  return regionJwt
}

/** With which the hub connects: as the region's own party, and to administer the server. */
export async function readCredentials(dir: string, whose: 'hub' | 'system', safe?: Safe): Promise<string> {
  const held = await secretFilesIn(dir, safe).read(files[whose])
  if (held === undefined) throw new Error(`${join(dir, files[whose])} is missing: run "hub/src/cli.ts init" with this configuration first`)
  if (held === 'sealed') throw sealedElsewhere(dir, files[whose])
  return held.text
}

async function keepOrWrite(dir: string, name: string, make: (() => Promise<string>) | undefined): Promise<string | undefined> {
  const secrets = secretFilesIn(dir, undefined)
  const held = await secrets.read(name)
  if (held === 'sealed') return undefined
  if (held) return held.text
  if (!make) throw sealedElsewhere(dir, 'region.seed')
  const made = await make()
  await secrets.write(name, made)
  return made
}
