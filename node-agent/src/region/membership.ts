import { Directory, HospitalConfig, RegionId, type EpochMs, type JoinedRegion } from 'specs'
import type { Migration, Queries, Transaction } from 'service-kit'
import { z } from 'zod'

/** That this hospital belongs to a region, and what it needs for that. Keys and credentials lie in files of their own, see secrets.ts. */
export const Membership = z.object({
  regionId: RegionId,
  regionName: z.string(),
  hubUrl: z.string(),
  hospital: HospitalConfig,
  certificateChain: z.array(z.string()).min(2),
  /** What others seal for, with dual certificates. */
  encryptionCertificate: z.string().optional(),
  rootCertificate: z.string(),
  hubCertificateChain: z.array(z.string()).min(1),
  natsUrl: z.string(),
  directory: Directory,
})
export type Membership = z.infer<typeof Membership>

export const regionMigrations: readonly Migration[] = [
  {
    name: '0001-membership',
    up: [
      `CREATE TABLE membership (region_id TEXT PRIMARY KEY, hub_url TEXT NOT NULL, is_active INTEGER NOT NULL, joined_at BIGINT NOT NULL, body TEXT NOT NULL)`,
    ],
  },
  {
    name: '0002-first-joined',
    // `joined_at` moves when a certificate is renewed by a new code; which region came first does not.
    up: [
      'ALTER TABLE membership ADD COLUMN first_joined_at BIGINT NOT NULL DEFAULT 0',
      'UPDATE membership SET first_joined_at = joined_at',
    ],
  },
]

const parse = (row: { body: string } | undefined) => row && Membership.parse(JSON.parse(row.body))

export async function activeMembership(db: Queries): Promise<Membership | undefined> {
  return parse(await db.get<{ body: string }>('SELECT body FROM membership WHERE is_active = 1'))
}

export async function membershipOfHub(db: Queries, hubUrl: string): Promise<Membership | undefined> {
  return parse(await db.get<{ body: string }>('SELECT body FROM membership WHERE hub_url = $1 ORDER BY joined_at DESC', [hubUrl]))
}

/** In the order of joining. */
export async function listMemberships(db: Queries): Promise<JoinedRegion[]> {
  const rows = await db.all<{ isActive: number; body: string }>(
    'SELECT is_active AS "isActive", body FROM membership ORDER BY first_joined_at, region_id',
  )
  return rows.map(({ isActive, body }) => {
    const { regionId, regionName, hubUrl } = Membership.parse(JSON.parse(body))
    return { regionId, regionName, hubUrl, isActive: isActive === 1 }
  })
}

export async function saveMembership(tx: Transaction, membership: Membership, now: EpochMs): Promise<void> {
  await tx.run(
    `INSERT INTO membership (region_id, hub_url, is_active, joined_at, first_joined_at, body) VALUES ($1, $2, 0, $3, $3, $4)
     ON CONFLICT (region_id) DO UPDATE SET hub_url = excluded.hub_url, joined_at = excluded.joined_at, body = excluded.body`,
    [membership.regionId, membership.hubUrl, now, JSON.stringify(membership)],
  )
}

/** The registry as the hub last told it, and us as it describes us. */
export async function saveDirectory(tx: Transaction, membership: Membership): Promise<void> {
  await tx.run('UPDATE membership SET body = $2 WHERE region_id = $1', [membership.regionId, JSON.stringify(membership)])
}

/**
 * Makes one membership the active one. Message numbers count per hub, so the traffic with the platform we leave is set
 * aside under its region's name and taken up again when we return: nothing is lost, nothing goes to the wrong region (AGT-03).
 */
export async function activate(tx: Transaction, regionId: RegionId): Promise<void> {
  const before = await tx.get<{ regionId: RegionId }>('SELECT region_id AS "regionId" FROM membership WHERE is_active = 1')
  if (before?.regionId === regionId) return
  await tx.run('UPDATE membership SET is_active = CASE WHEN region_id = $1 THEN 1 ELSE 0 END', [regionId])
  const hasTraffic = await tx.get(`SELECT name FROM schema_migration WHERE scope = 'link'`)
  if (before === undefined || hasTraffic === undefined) return
  for (const table of ['link_peer', 'outbox', 'inbox']) {
    await tx.run(`UPDATE ${table} SET peer = $1 WHERE peer = 'hub'`, [`hub@${before.regionId}`])
    await tx.run(`UPDATE ${table} SET peer = 'hub' WHERE peer = $1`, [`hub@${regionId}`])
  }
}
