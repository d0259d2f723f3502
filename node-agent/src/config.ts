import { dirname, isAbsolute, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { AuditConfig, auditSettingsOf, checkProxy, vaultSettingsOf, httpSettings, IdentityConfig, loadConfig, OutboundConfig, TlsFiles, tlsFilesAt, VaultConfig, type DatabaseConfig } from 'service-kit'
import { AeTitle, DicomSettings, HospitalId, NodeRole, PIECE_BYTES, RegionId } from 'specs'
import { z } from 'zod'
import { StoreConfig } from './storage/store-config.ts'

const host = z.string().min(1).max(255)
const port = z.number().int().min(0).max(65_535)
const GB = 1_000_000_000

/** One word for both archives, or one for each. */
const EncryptionConfig = z
  .union([
    z.enum(['none', 'sm4']),
    z.strictObject({ inHospital: z.enum(['none', 'sm4']).default('none'), regional: z.enum(['none', 'sm4']).default('none') }),
  ])
  .default('none')
  .transform((mode) => (typeof mode === 'string' ? { inHospital: mode, regional: mode } : mode))

/** Who sees what beyond rights and scopes; docs/adr/0011. */
const AccessConfig = z
  .strictObject({
    /** Whose exams staff see without a rule: the hospital's, those of the own department, or only patients they treat (SEC-05). */
    relation: z.enum(['hospital', 'department', 'treating']).default('hospital'),
    /** `search-key`: lists only for a name, patient or accession number. Unless told, lists are open where the relation is `hospital`. */
    listing: z.enum(['open', 'search-key']).optional(),
    breakGlass: z
      .strictObject({
        minutes: z.number().int().min(5).max(1_440).default(120),
        /** Days within which a security administrator has to review it. */
        reviewDays: z.number().int().min(1).max(30).default(3),
      })
      .prefault({}),
    export: z
      .strictObject({
        /** Whether image files are given out only with a reason (header `X-Lianpian-Reason`, or `?reason=`). */
        reason: z.enum(['required', 'optional']).default('optional'),
        /** Studies that one account may export in a day. */
        studiesPerDay: z.number().int().min(0).max(100_000).default(200),
        /** One export of the dialog may read this many bytes of files; larger exams are taken in parts. */
        maxBytes: z.number().int().min(1).default(20 * GB),
        /** Pictures in one export, as PNG or JPEG. */
        maxPictures: z.number().int().min(1).max(1_000_000).default(5_000),
        /** Downloads of one account at the same time. */
        atOnce: z.number().int().min(1).max(20).default(2),
        /** How long an export that was asked for may be downloaded. */
        openMinutes: z.number().int().min(1).max(1_440).default(60),
      })
      .prefault({}),
  })
  .prefault({})
  .transform((access) => ({ ...access, listing: access.listing ?? (access.relation === 'hospital' ? ('open' as const) : ('search-key' as const)) }))

/**
 * Settings of one node agent; config.example.jsonc explains each. Nothing here names a platform: joining a region
 * happens at run time and is kept in the database, so a node works from its first minute (edge first).
 */
export const NodeConfig = z.strictObject({
  hospital: z.strictObject({ id: HospitalId, name: z.string().trim().min(1).max(60) }),
  /** Everything the node keeps: databases, both archives, keys, unfinished transfers. Relative to the configuration file. */
  dataFolder: z.string().min(1).default('./data'),
  http: z
    .strictObject({ host: host.default('127.0.0.1'), port: port.default(8420), trustProxy: z.boolean().default(false), ...httpSettings })
    .superRefine(checkProxy)
    .prefault({}),
  dimse: z
    .strictObject({
      host: host.default('0.0.0.0'),
      port: port.default(11_420),
      aeTitle: AeTitle.prefault('LIANPIAN'),
      allowAnyAe: z.boolean().default(false),
      maxAssociations: z.number().int().min(1).max(1_000).default(32),
      /** Further settings of the ports as they are until an administrator changes them on the page 设备与节点; the same names as in `PUT /api/dicom-settings`. */
      behaviour: DicomSettings.omit({ checkCallingAe: true, maxAssociations: true }).partial().default({}),
      /** DICOM over TLS on a port of its own (PS3.15 B.12). */
      tls: z
        .strictObject({
          host: host.default('0.0.0.0'),
          port: port.default(2762),
          ...TlsFiles.shape,
          /** With it, devices must show a certificate that these authorities issued. */
          caFile: z.string().min(1).optional(),
          /** No plain port beside it. */
          only: z.boolean().default(false),
        })
        .optional(),
    })
    .prefault({}),
  database: z
    .discriminatedUnion('dialect', [
      z.strictObject({ dialect: z.literal('sqlite') }),
      z.strictObject({
        dialect: z.literal('postgres'),
        url: z.string(),
        schemaPrefix: z.string().regex(/^[a-z_][a-z0-9_]{0,40}$/),
        poolSize: z.number().int().min(2).max(100).default(10),
        /** Another server for what belongs to other hospitals (FED-33). */
        regionalUrl: z.string().optional(),
      }),
    ])
    .default({ dialect: 'sqlite' }),
  audit: AuditConfig.prefault({}),
  archive: z
    .strictObject({
      /** Below it new instances are refused with "out of resources". */
      minFreeBytes: z.number().int().min(0).default(GB),
      /** Tokens {hospital} {modality} {year} {month} {day} {study} {series} {instance}. */
      pathTemplate: z.string().max(200).optional(),
      /** How often a failed registration is tried again by itself, and the wait before each (FED-23). */
      registrationRetries: z.number().int().min(0).max(100).default(3),
      registrationRetryMs: z.number().int().min(0).max(600_000).default(1_000),
      /** How image files lie on the disk: as they are, or encrypted with SM4 under the vault. For new files; `npm run archive` converts what is there. */
      encryption: EncryptionConfig,
      /** Further places for copies of images: folders, and buckets whose secret is kept outside the database; rules for them stand in the pages. */
      stores: z.array(StoreConfig).max(20).default([]),
    })
    .prefault({}),
  acquisition: z
    .strictObject({
      /** 导入文件夹: what is put into its `inbox` on the machine itself is imported and moved to `done` or `failed`. Relative to the configuration file; absent: none. */
      importFolder: z.string().min(1).optional(),
    })
    .prefault({}),
  region: z
    .strictObject({
      /** Written to images received before this hospital has joined a region (FED-20); afterwards the region's own identifier counts. */
      id: RegionId.prefault('unassigned'),
      /** How this hospital reaches the region's NATS, if not by the address the hub tells: through a relay or a gate of its own. */
      natsUrl: z
        .string()
        .regex(/^(?:nats|tls|wss?):\/\//, 'nats://host:port')
        .optional(),
      /** PEM of the authority behind the platform's HTTPS certificate, where it is none that systems know. */
      hubCaFile: z.string().min(1).optional(),
      heartbeatMs: z.number().int().min(200).max(600_000).default(5_000),
      /** Two certificates, one to sign and one to receive (GM/T 0015), from the next joining or renewal on. */
      dualCertificates: z.boolean().default(false),
      /** How long joining waits for each answer of the platform. */
      requestTimeoutMs: z.number().int().min(500).max(120_000).default(10_000),
    })
    .prefault({}),
  access: AccessConfig,
  /** 跨院调阅: what this hospital answers to others, and how it asks them. */
  crossHospital: z
    .strictObject({
      /** A grant for one study ends by itself after this long; whoever still reads is given a new one while the authorisation lasts. */
      grantMinutes: z.number().int().min(5).max(24 * 60).default(60),
      /** Nobody may authorise for longer. */
      authorisationDays: z.number().int().min(1).max(3_660).default(366),
      /** `told`: others learn that there is more which needs an authorisation, and with it that the patient is known here. */
      unseen: z.enum(['untold', 'told']).default('untold'),
      /** `region`: a consent that the treating hospital recorded counts here as well; `own`: only those recorded or coded by us. */
      consentsFrom: z.enum(['own', 'region']).default('own'),
      /** Of one person of another hospital. */
      searchesPerHour: z.number().int().min(1).max(10_000).default(60),
      /** Of all people of another hospital together: whom that hospital names is its own word. */
      hospitalSearchesPerHour: z.number().int().min(1).max(100_000).default(1_000),
      /** How long a patient may carry a code before it is entered. */
      codeDays: z.number().int().min(1).max(90).default(7),
      /** How long a search waits for a hospital. */
      answerWaitMs: z.number().int().min(500).max(60_000).default(8_000),
    })
    .prefault({}),
  consult: z
    .strictObject({
      /** Days until a grant given with a consultation ends by itself. */
      grantDays: z.number().int().min(1).max(365).default(30),
      /** How long a page waits for the region's answer before it shows "queued". */
      answerWaitMs: z.number().int().min(0).max(30_000).default(3_000),
      /** A request that the region has taken without answering it for this long is sent again. */
      repeatAfterMs: z.number().int().min(1_000).max(3_600_000).default(60_000),
    })
    .prefault({}),
  transfer: z
    .strictObject({
      piecesInFlight: z.number().int().min(1).max(64).default(6),
      pieceBytes: z.number().int().min(16_384).max(PIECE_BYTES).default(PIECE_BYTES),
      /** Studies fetched at the same time; the others wait their turn. */
      studiesAtOnce: z.number().int().min(1).max(16).default(2),
      pieceTimeoutMs: z.number().int().min(500).max(120_000).default(15_000),
      retryWaitMs: z.number().int().min(50).max(60_000).default(1_000),
      maxRetryWaitMs: z.number().int().min(100).max(3_600_000).default(60_000),
      /** The regional cache may grow to this size; then the least recently opened finished studies leave. */
      regionalCacheBytes: z
        .number()
        .int()
        .min(0)
        .default(200 * GB),
      /** Unused sessions of others end after this long. */
      sessionMs: z
        .number()
        .int()
        .min(1_000)
        .max(24 * 3_600_000)
        .default(3_600_000),
    })
    .prefault({}),
  signing: z
    .strictObject({
      /** Who signs an opinion: the doctor with a key of their own, or the hospital alone. */
      by: z.enum(['person', 'hospital']).default('person'),
      /** How long one entry of the password is good for, in the session in which it was made. 0: for each signature. */
      unlockedMinutes: z.number().int().min(0).max(240).default(10),
      /** While the region cannot be reached to certify a new key: the hospital signs, or nobody. */
      withoutCertificate: z.enum(['hospital', 'refuse']).default('hospital'),
    })
    .prefault({}),
  outbound: OutboundConfig.prefault({}),
  identity: IdentityConfig.prefault({}),
  vault: VaultConfig.prefault({}),
  privacy: z
    .strictObject({
      /** What whoever holds the right to unmask sees on the page of one exam; lists are always masked (SEC-06). */
      clinicians: z.enum(['masked', 'clear']).default('masked'),
    })
    .prefault({}),
  /** Made at the start when missing; for demonstrations. */
  accounts: z
    .array(
      z.strictObject({
        username: z.string().min(1).max(64),
        password: z.string().min(1).max(200),
        name: z.string().min(1).max(60),
        title: z.string().max(40).default(''),
        roles: z.array(NodeRole).min(1),
      }),
    )
    .default([]),
  /** Built pages; where `npm run build` puts them unless told. */
  pages: z.strictObject({ desk: z.string().min(1).optional(), viewer: z.string().min(1).optional() }).prefault({}),
  /**
   * At the end: how long /health answers 503 while everything is still served, and open DICOM associations may go on to their
   * release. For balancers; 0 without one. Together with the rest it stays below the 15 s after which the process ends as it is.
   */
  drainMs: z.number().int().min(0).max(10_000).default(0),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
})
export type NodeConfig = z.output<typeof NodeConfig>

/** With every path absolute. */
export type NodeSettings = ReturnType<typeof settingsOf>

/** @throws {ConfigError} naming file, line and field. Paths are relative to the folder of the file. */
export function loadNodeConfig(file: string | undefined): NodeSettings {
  return settingsOf(loadConfig(NodeConfig, { file }), file === undefined ? '.' : dirname(resolve(file)))
}

export function settingsOf(config: NodeConfig, baseFolder: string) {
  const at = (path: string) => (isAbsolute(path) ? path : resolve(baseFolder, path))
  const built = (path: string) => fileURLToPath(new URL(`../../${path}/dist`, import.meta.url))
  const { desk, viewer } = config.pages
  const { tls } = config.dimse
  return {
    ...config,
    dataFolder: at(config.dataFolder),
    archive: { ...config.archive, stores: config.archive.stores.map((store) => storeAt(store, at)) },
    http: { ...config.http, tls: tlsFilesAt(config.http.tls, at) },
    dimse: { ...config.dimse, tls: tls && { ...tls, ...tlsFilesAt(tls, at), caFile: tls.caFile === undefined ? undefined : at(tls.caFile) } },
    acquisition: { importFolder: config.acquisition.importFolder === undefined ? undefined : at(config.acquisition.importFolder) },
    region: { ...config.region, hubCaFile: config.region.hubCaFile === undefined ? undefined : at(config.region.hubCaFile) },
    audit: auditSettingsOf(config.audit, at, databaseOf({ database: config.database, dataFolder: at(config.dataFolder) }, 'audit')),
    vault: vaultSettingsOf(config.vault, at, at(config.dataFolder)),
    pages: { desk: desk === undefined ? built('node-agent/desk') : at(desk), viewer: viewer === undefined ? built('viewer') : at(viewer) },
  }
}

function storeAt(store: StoreConfig, at: (path: string) => string): StoreConfig {
  if (store.kind === 'folder') return { ...store, folder: at(store.folder) }
  const { secretKeyFile, caFile } = store
  return { ...store, ...(secretKeyFile !== undefined && { secretKeyFile: at(secretKeyFile) }), ...(caFile !== undefined && { caFile: at(caFile) }) }
}

/** The database of one part of the node: its own file, or its own schema (two archives share nothing, rule 7). */
export function databaseOf(
  { database, dataFolder }: Pick<NodeConfig, 'database' | 'dataFolder'>,
  part: 'node' | 'archive-in-hospital' | 'archive-regional' | 'audit',
): DatabaseConfig {
  if (database.dialect === 'sqlite') return { dialect: 'sqlite', file: join(dataFolder, `${part}.sqlite`) }
  return {
    dialect: 'postgres',
    url: part === 'archive-regional' ? (database.regionalUrl ?? database.url) : database.url,
    schema: `${database.schemaPrefix}_${part.replaceAll('-', '_')}`,
    poolSize: database.poolSize,
  }
}
