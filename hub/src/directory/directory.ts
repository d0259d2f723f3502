import type { Queries, Transaction } from 'service-kit'
import { kinds, type Directory, type DirectoryEntry, type EpochMs, type HospitalId, type NatsTrust, type RegionId } from 'specs'
import type { Hospital } from '../hospital/hospital.ts'
import { allHospitals } from '../hospital/store.ts'

/** Sends a message in the transaction that made it necessary; the hub's link provides it. */
export interface Outbox {
  post(tx: Transaction, to: HospitalId, kind: string, body: unknown): Promise<unknown>
}

export interface RegionName {
  readonly regionId: RegionId
  readonly regionName: string
  /** Where and by what members recognise the region's nats-server. */
  readonly natsTrust?: NatsTrust
}

/** The region as its members shall know it, at the version that the database holds. */
export async function readDirectory(queries: Queries, region: RegionName, authority: CertifyingAuthority): Promise<Directory> {
  const hospitals = await allHospitals(queries)
  const former = authority.formerCertificates
  return {
    version: await directoryVersion(queries),
    ...region,
    hospitals: hospitals.map(entryOf),
    crl: await currentCrl(queries),
    ...(former.length > 0 && { formerAuthorities: former.map(({ pem }) => pem), formerCrls: await formerCrls(queries) }),
    ...(authority.rootCrl !== undefined && { rootCrl: authority.rootCrl }),
    hubCertificateChain: [...authority.hub.certificateChain],
  }
}

/** What the directory tells of the authority itself: both are renewed while nodes are members. */
export interface CertifyingAuthority {
  readonly rootCrl: string | undefined
  /** Of before a change of key. */
  readonly formerCertificates: readonly { readonly pem: string }[]
  readonly hub: { readonly certificateChain: readonly string[] }
}

/** 0 before the first hospital. Changes whenever anything in the directory does, so caches compare it. */
export async function directoryVersion(queries: Queries): Promise<number> {
  const row = await queries.get<{ value: number }>("SELECT value FROM region_counter WHERE name = 'directory'")
  return row?.value ?? 0
}

/** The present authority's. */
export async function currentCrl(queries: Queries): Promise<string> {
  const row = await queries.get<{ pem: string }>('SELECT pem FROM revocation_list ORDER BY number DESC LIMIT 1')
  if (!row) throw new Error('the region has no certificate revocation list: the authority was not opened')
  return row.pem
}

/** The last lists of authorities of before a change of key. */
export async function formerCrls(queries: Queries): Promise<string[]> {
  const rows = await queries.all<{ pem: string }>('SELECT pem FROM revocation_list ORDER BY number DESC')
  return rows.slice(1).map(({ pem }) => pem)
}

/**
 * Makes the next version and posts it, whole, to every joined hospital, in the transaction of the change. Versions are never behind the
 * clock: a hub restored from a backup has forgotten its last ones, and nodes take no older directory.
 */
export async function publishDirectory(tx: Transaction, region: RegionName, outbox: Outbox, authority: CertifyingAuthority, now: EpochMs): Promise<Directory> {
  const seconds = Math.floor(now / 1_000)
  await tx.run("UPDATE region_counter SET value = CASE WHEN value < $1 THEN $1 ELSE value + 1 END WHERE name = 'directory'", [seconds])
  const directory = await readDirectory(tx, region, authority)
  for (const { id, certificate } of directory.hospitals) {
    if (certificate !== '') await outbox.post(tx, id, kinds.directory, directory)
  }
  return directory
}

function entryOf({ config, certificate, revokedAt }: Hospital): DirectoryEntry {
  return {
    ...config,
    certificate: certificate?.pem ?? '',
    ...(certificate?.encryptionPem !== undefined && { encryptionCertificate: certificate.encryptionPem }),
    revoked: revokedAt !== undefined,
  }
}
