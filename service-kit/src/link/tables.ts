import type { Migration } from '../database/index.ts'

/**
 * `link_peer` holds where we stand with each party we exchange messages with: a node has one row (`hub`), the hub one per
 * hospital. Bodies are JSON text; what must not be read by the database's keeper is sealed inside them.
 */
export const linkMigrations: readonly Migration[] = [
  {
    name: '001-messages',
    up: [
      `CREATE TABLE link_peer (
        peer TEXT PRIMARY KEY,
        sent_up_to BIGINT NOT NULL,
        delivered_up_to BIGINT NOT NULL,
        received_up_to BIGINT NOT NULL
      )`,
      `CREATE TABLE outbox (
        id TEXT PRIMARY KEY,
        peer TEXT NOT NULL,
        seq BIGINT NOT NULL,
        kind TEXT NOT NULL,
        body TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        created_at BIGINT NOT NULL,
        published_at BIGINT,
        delivered_at BIGINT
      )`,
      'CREATE UNIQUE INDEX outbox_by_seq ON outbox (peer, seq)',
      'CREATE INDEX outbox_by_time ON outbox (created_at)',
      `CREATE TABLE inbox (
        peer TEXT NOT NULL,
        id TEXT NOT NULL,
        seq BIGINT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        received_at BIGINT NOT NULL,
        digest TEXT NOT NULL,
        arrival TEXT NOT NULL,
        body TEXT,
        problem_code TEXT,
        problem_facts TEXT,
        PRIMARY KEY (peer, id)
      )`,
      'CREATE INDEX inbox_by_seq ON inbox (peer, seq)',
      'CREATE INDEX inbox_by_time ON inbox (received_at)',
      `CREATE TABLE refusal (
        id TEXT PRIMARY KEY,
        at BIGINT NOT NULL,
        subject TEXT NOT NULL,
        claimed_sender TEXT NOT NULL,
        code TEXT NOT NULL,
        facts TEXT NOT NULL,
        raw TEXT NOT NULL
      )`,
      'CREATE INDEX refusal_by_time ON refusal (at)',
    ],
  },
  {
    name: '002-answers',
    up: [
      // What the other side answered to a message that it took and could not process.
      'ALTER TABLE outbox ADD COLUMN problem_code TEXT',
      // Few rows among many: every heartbeat looks for them.
      `CREATE INDEX outbox_waiting ON outbox (peer, seq) WHERE state <> 'delivered'`,
      'CREATE INDEX outbox_failed_there ON outbox (peer) WHERE problem_code IS NOT NULL',
      `CREATE INDEX inbox_failed ON inbox (peer) WHERE state = 'failed'`,
    ],
  },
]
