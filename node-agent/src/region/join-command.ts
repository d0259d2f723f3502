import { createMetrics, kekSourceOf, openDatabase, Outbound, Vault, type Log } from 'service-kit'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { databaseOf, type NodeSettings } from '../config.ts'
import { VERSION } from '../version.ts'
import { JoinedRegions } from './joined-regions.ts'
import { regionMigrations } from './membership.ts'
import { Region } from './region.ts'

/**
 * Joins a region from the command line, for set-up before the first start. While the node runs, use its pages or PUT /api/link:
 * two processes would hold the same line.
 * @returns one sentence for the terminal. @throws {Problem} what joining refuses with.
 */
export async function joinFromCommandLine(settings: NodeSettings, log: Log, hubUrl: string, code: string): Promise<string> {
  const db = await openDatabase(databaseOf(settings, 'node'))
  await db.migrate('region', regionMigrations)
  const safe = await Vault.open({ db, kek: kekSourceOf(settings.vault) })
  const region = await Region.open({
    db, log, safe,
    dualCertificates: settings.region.dualCertificates,
    metrics: createMetrics(),
    outbound: new Outbound({ config: settings.outbound, own: { host: settings.http.host, behindProxy: settings.http.plain === 'behind-proxy' || settings.http.trustProxy } }),
    hubCa: settings.region.hubCaFile === undefined ? undefined : await readFile(settings.region.hubCaFile, 'utf8'),
    hospitalId: settings.hospital.id,
    hospitalName: settings.hospital.name,
    joined: await JoinedRegions.open(db),
    keyFolder: join(settings.dataFolder, 'keys'),
    heartbeatMs: settings.region.heartbeatMs,
    requestTimeoutMs: settings.region.requestTimeoutMs,
    version: VERSION,
    statusOf: () => Promise.resolve({ studies: 0, instances: 0, freeBytes: 0, transfersActive: 0 }),
    announce: () => undefined,
  }) // prettier-ignore
  try {
    const { regionName, regionId } = await region.join(hubUrl, code)
    return `已加入 / joined: ${regionName} (${regionId})`
  } finally {
    safe.close()
    await db.close()
  }
}
