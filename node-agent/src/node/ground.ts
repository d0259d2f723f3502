import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { createMetrics, kekSourceOf, openDatabase, Vault, type Log } from 'service-kit'
import { policyMigrations } from '../access/policy/tables.ts'
import { grantMigrations } from '../access/grant-store.ts'
import { openArchive, type ArchiveName, type ArchiveOptions, type IncomingSource, type LandedContent } from '../archive/archive.ts'
import { awaitArchive } from '../archive/awaited-archive.ts'
import { Digests } from '../archive/digest/digests.ts'
import { FileEncryption } from '../archive/encryption/file-encryption.ts'
import { assertionMigrations } from '../assertion/admit.ts'
import { databaseOf, type NodeSettings } from '../config.ts'
import { createCodecPool } from '../dicom/render/codec-pool.ts'
import { commitmentMigrations } from '../commitment/store.ts'
import { dicomNodeMigrations } from '../dicom-node/store.ts'
import { examMigrations } from '../exam/store.ts'
import { exportMigrations } from '../export/tables.ts'
import { erasureMigrations } from '../grant/erasures.ts'
import { sharingMigrations } from '../grant/tables.ts'
import { contactMigrations } from '../patient/contact.ts'
import { patientTokenMigrations } from '../patient/token.ts'
import { matchingMigrations } from '../matching/tables.ts'
import { JoinedRegions } from '../region/joined-regions.ts'
import { regionMigrations } from '../region/membership.ts'
import { signingMigrations } from '../signing/key-store.ts'
import { importMigrations } from '../acquisition/import/tables.ts'
import { acquisitionMigrations } from '../acquisition/query-retrieve/tables.ts'
import { routingMigrations } from '../routing/tables.ts'
import { transferMigrations } from '../transfer/store.ts'

export type Ground = Awaited<ReturnType<typeof openGround>>

/**
 * What a node stands on: its database, its vault and the two archives (FED-33). Opened before anything else and given back last.
 *
 * @throws An Error for the administrator when a database cannot be opened; {Problem} vault/… when the key does not fit.
 */
export async function openGround(settings: NodeSettings, log: Log) {
  const { dataFolder } = settings
  const hospitalId = settings.hospital.id
  const metrics = createMetrics()
  await mkdir(join(dataFolder, 'incoming'), { recursive: true })
  const db = await openDatabase(databaseOf(settings, 'node'))
  await db.migrate('region', regionMigrations)
  await db.migrate('grant', grantMigrations)
  await db.migrate('assertion', assertionMigrations)
  await db.migrate('sharing', sharingMigrations)
  await db.migrate('erasure', erasureMigrations)
  await db.migrate('exam', examMigrations)
  await db.migrate('patient', contactMigrations)
  await db.migrate('patient-token', patientTokenMigrations)
  await db.migrate('transfer', transferMigrations)
  await db.migrate('dicom-node', dicomNodeMigrations)
  await db.migrate('routing', routingMigrations)
  await db.migrate('commitment', commitmentMigrations)
  await db.migrate('acquisition', acquisitionMigrations)
  await db.migrate('import', importMigrations)
  await db.migrate('access', policyMigrations)
  await db.migrate('signing', signingMigrations)
  await db.migrate('export', exportMigrations)
  await db.migrate('matching', matchingMigrations)
  const vault = await Vault.open({ db, kek: kekSourceOf(settings.vault) })
  const joined = await JoinedRegions.open(db, settings.region.id)
  const encryption = new FileEncryption({ vault, log })
  if (Object.values(settings.archive.encryption).includes('sm4')) encryption.cipher.warm()

  // Filled by node/matching.ts before any port is open.
  const coercing: { -readonly [K in 'coerce' | 'changedContent']?: ArchiveOptions[K] } = {}

  const digests = Digests.threaded(log)

  const open = async (name: ArchiveName) => {
    const archiveDb = await openDatabase(databaseOf(settings, `archive-${name}`))
    try {
      return await openArchive({
        name, hospitalId, log, metrics, encryption, digests,
        db: archiveDb,
        root: join(dataFolder, `archive-${name}`),
        regionId: () => joined.activeId,
        minFreeBytes: settings.archive.minFreeBytes,
        registrationRetries: settings.archive.registrationRetries,
        registrationRetryMs: settings.archive.registrationRetryMs,
        encryptionMode: settings.archive.encryption[name === 'regional' ? 'regional' : 'inHospital'],
        ...(name === 'in-hospital' && {
          coerce: (landed: LandedContent) => coercing.coerce?.(landed),
          changedContent: (source: IncomingSource, modality: string) => coercing.changedContent?.(source, modality) ?? 'replace',
        }),
        ...(settings.archive.pathTemplate && { pathTemplate: settings.archive.pathTemplate }),
      }) // prettier-ignore
    } catch (error) {
      await archiveDb.close().catch(() => undefined) // why it cannot be opened is what counts
      throw error
    }
  }
  return {
    settings, log, metrics, hospitalId, db, vault, encryption, digests, joined, coercing,
    codecs: createCodecPool({ log }),
    inHospital: await open('in-hospital'),
    // Nothing of the hospital's own waits for what belongs to the region (FED-33).
    regional: await awaitArchive('regional', () => open('regional'), { log }),
    keyFolder: join(dataFolder, 'keys'),
  } // prettier-ignore
}
