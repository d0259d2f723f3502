import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase, type Database } from 'service-kit'
import { kinds, type ConsultAnswer, type ConsultEvent, type Directory } from 'specs'
import { aRegion } from '../../../pki/tests/a-region.ts'
import { publishDirectory, type Outbox } from '../../src/directory/directory.ts'
import { admit, insertHospital } from '../../src/hospital/store.ts'
import { migrateHub } from '../../src/migrations.ts'
import { aRegistry, regionId } from './builders.ts'

export interface OpenedDatabase {
  readonly db: Database
  readonly drop: () => Promise<void>
}

/** A new SQLite database of a hub, in its own folder. */
export async function openHubSqlite(): Promise<OpenedDatabase> {
  const folder = await mkdtemp(join(tmpdir(), 'hub-'))
  const db = await openDatabase({ dialect: 'sqlite', file: join(folder, 'hub.sqlite') })
  await migrateHub(db)
  return {
    db,
    drop: async () => {
      await db.close()
      await rm(folder, { recursive: true })
    },
  }
}

/** Stands for the link's outbox: rows of the same transaction, so that a rollback takes them back too. */
export class OutboxTable implements Outbox {
  readonly #db: Database

  private constructor(db: Database) {
    this.#db = db
  }

  static async open(db: Database): Promise<OutboxTable> {
    await db.migrate('test-outbox', [
      {
        name: '0001',
        up: ['CREATE TABLE test_outbox (n BIGINT PRIMARY KEY, recipient TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL)'],
      },
    ])
    return new OutboxTable(db)
  }

  async post(tx: Parameters<Outbox['post']>[0], to: string, kind: string, body: unknown): Promise<void> {
    const insert = 'INSERT INTO test_outbox (n, recipient, kind, body) SELECT COALESCE(MAX(n), 0) + 1, $1, $2, $3 FROM test_outbox'
    await tx.run(insert, [to, kind, JSON.stringify(body)])
  }

  async sent<T>(kind: string, to?: string): Promise<{ to: string; body: T }[]> {
    const rows = await this.#db.all<{ recipient: string; body: string }>(
      'SELECT recipient, body FROM test_outbox WHERE kind = $1 AND recipient = COALESCE($2, recipient) ORDER BY n',
      [kind, to ?? null],
    )
    return rows.map(({ recipient, body }) => ({ to: recipient, body: JSON.parse(body) as T }))
  }

  answers = (to?: string) => this.sent<ConsultAnswer>(kinds.consultAnswer, to)
  events = (to?: string) => this.sent<ConsultEvent>(kinds.consultEvent, to)
  directories = (to?: string) => this.sent<Directory>(kinds.directory, to)
}

/** Registers the hospitals of `aRegistry()` as joined, with certificates that nobody looks at. */
export async function registerDemoRegion(db: Database, outbox: Outbox): Promise<void> {
  const authority = aRegion()
  await db.write(async (tx) => {
    await tx.run("INSERT INTO revocation_list (number, pem, issued_at) VALUES (1, 'crl', 0)")
    for (const { id, name, kinds, taskTypes, flowModes } of aRegistry().members) {
      const config = {
        id,
        name,
        code: `code-${id}`,
        agentAddress: '',
        kinds: [...kinds],
        taskTypes: [...taskTypes],
        flowModes: [...flowModes],
      }
      await insertHospital(tx, config, 1)
      await admit(tx, id, { signing: authority.party(id).certificate }, '0.1.0', 1)
    }
    await publishDirectory(tx, { regionId, regionName: '云岭区域影像网' }, outbox, { rootCrl: undefined, formerCertificates: [], hub: authority.party('hub') }, 1)
  })
}
