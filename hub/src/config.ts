import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AuditConfig, auditSettingsOf, checkProxy, DatabaseConfig, httpSettings, IdentityConfig, loadConfig, OutboundConfig, tlsFilesAt, VaultConfig, vaultSettingsOf } from 'service-kit'
import { HubRole, RegionId } from 'specs'
import { z } from 'zod'
import { isNatsTlsOn } from './nats/tls.ts'

/** config.example.jsonc explains every setting; keep the two together. */
export const HubConfig = z.strictObject({
  dir: z.string().min(1).default('data'),
  region: z.strictObject({ id: RegionId, name: z.string().trim().min(1).max(60) }),
  http: z
    .strictObject({
      host: z.string().default('127.0.0.1'),
      port: z.number().int().min(0).max(65_535).default(8400),
      trustProxy: z.union([z.boolean(), z.number().int(), z.string()]).default(false),
      ...httpSettings,
    })
    .superRefine(checkProxy)
    .prefault({}),
  nats: z
    .strictObject({
      url: z.string().default('nats://127.0.0.1:4400'),
      publicUrl: z.string().optional(),
      adminDir: z.string().min(1).optional(),
      listenHost: z.string().default('127.0.0.1'),
      tls: z.enum(['auto', 'on', 'off']).default('auto'),
      storeDir: z.string().min(1).optional(),
    })
    .prefault({}),
  database: DatabaseConfig.optional(),
  audit: AuditConfig.prefault({}),
  outbound: OutboundConfig.prefault({}),
  identity: IdentityConfig.prefault({}),
  vault: VaultConfig.prefault({}),
  /** How long certificates last; nodes renew theirs well before. */
  certificates: z
    .strictObject({
      nodeDays: z.number().positive().max(3_650).default(730),
      personDays: z.number().positive().max(3_650).default(365),
      serviceDays: z.number().positive().max(3_650).default(365),
    })
    .prefault({}),
  ca: z
    .strictObject({
      /** A listener of its own for the certificate authority; without it the hub's own serves it. */
      http: z.strictObject({ host: z.string().default('127.0.0.1'), port: z.number().int().min(0).max(65_535).default(8401), tls: httpSettings.tls, plain: httpSettings.plain }).optional(),
    })
    .prefault({}),
  consoleDist: z.string().min(1).optional(),
  heartbeatMs: z.number().int().min(100).max(600_000).default(5_000),
  joinCodeValidHours: z
    .number()
    .positive()
    .max(24 * 90)
    .default(72),
  /**
   * At the end: how long /health answers 503 while everything is still served. For balancers; 0 without one. Together with the
   * rest it stays below the 15 s after which the process ends as it is.
   */
  drainMs: z.number().int().min(0).max(10_000).default(0),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  accounts: z
    .array(
      z.strictObject({
        username: z.string(),
        password: z.string(),
        name: z.string(),
        title: z.string().default(''),
        roles: z.array(HubRole).min(1),
      }),
    )
    .default([]),
})

/** With every path absolute and every default filled in. */
export type HubSettings = ReturnType<typeof settingsOf>

/** @throws {ConfigError} naming file, line and field. Paths are relative to the folder of the file. */
export function loadHubConfig(file: string | undefined): HubSettings {
  const config = loadConfig(HubConfig, { file })
  return settingsOf(config, file === undefined ? '.' : dirname(resolve(file)))
}

export function settingsOf(config: z.output<typeof HubConfig>, baseFolder: string) {
  const at = (path: string) => (isAbsolute(path) ? path : resolve(baseFolder, path))
  const dir = at(config.dir)
  return {
    ...config,
    dir,
    http: { ...config.http, tls: tlsFilesAt(config.http.tls, at) },
    ca: { ...config.ca, http: config.ca.http && { ...config.ca.http, tls: tlsFilesAt(config.ca.http.tls, at) } },
    nats: {
      ...config.nats,
      ...natsAddresses(config.nats),
      /** By which hub and nodes reach nats-server. */
      names: [config.nats.url, config.nats.publicUrl ?? config.nats.url].map((url) => new URL(url).hostname.replace(/^\[|\]$/g, '')),
      adminDir: config.nats.adminDir === undefined ? join(dir, 'nats') : at(config.nats.adminDir),
      storeDir: config.nats.storeDir === undefined ? join(dir, 'nats-store') : at(config.nats.storeDir),
    },
    database: databaseOf(config.database, dir, at),
    audit: auditSettingsOf(config.audit, at, auditDatabaseOf(config.database, dir)),
    vault: vaultSettingsOf(config.vault, at, dir),
    consoleDist: config.consoleDist === undefined ? builtConsole() : at(config.consoleDist),
  }
}

/** Nodes are told `tls://`, and insist on it from then on. */
function natsAddresses({ url, publicUrl = url, tls, listenHost }: z.output<typeof HubConfig>['nats']) {
  const isTls = isNatsTlsOn(tls, listenHost)
  const at = (address: string) => (isTls ? address.replace(/^nats:/, 'tls:') : address)
  return { url: at(url), publicUrl: at(publicUrl), isTls }
}

function databaseOf(config: DatabaseConfig | undefined, dir: string, at: (path: string) => string): DatabaseConfig {
  if (config === undefined) return { dialect: 'sqlite', file: join(dir, 'hub.sqlite') }
  return config.dialect === 'sqlite' ? { ...config, file: at(config.file) } : config
}

/** The trail does not share tables with what it tells of. */
function auditDatabaseOf(config: DatabaseConfig | undefined, dir: string): DatabaseConfig {
  if (config === undefined || config.dialect === 'sqlite') return { dialect: 'sqlite', file: join(dir, 'audit.sqlite') }
  return { ...config, schema: `${config.schema ?? 'hub'}_audit` }
}

/** Where `npm run build` puts the pages of the regional console. */
const builtConsole = () => fileURLToPath(new URL('../../regional-console/dist', import.meta.url))
