import type { Migration } from 'service-kit'

/**
 * The ledger. `consult_event` is the truth and is only added to; `consult_task` is the sum of its events, saved with
 * them; `consult_command` remembers what every command was answered.
 */
export const consultMigrations: readonly Migration[] = [
  {
    name: '0001-ledger',
    up: [
      `CREATE TABLE consult_task (
        task_id TEXT PRIMARY KEY, region_id TEXT NOT NULL, submitter TEXT NOT NULL, state TEXT NOT NULL, revision BIGINT NOT NULL,
        task TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
      'CREATE INDEX consult_task_newest ON consult_task (created_at, task_id)',
      'CREATE INDEX consult_task_submitter ON consult_task (submitter, created_at)',
      `CREATE TABLE consult_offer (
        hospital_id TEXT NOT NULL, task_id TEXT NOT NULL REFERENCES consult_task (task_id), PRIMARY KEY (hospital_id, task_id))`,
      `CREATE TABLE consult_event (
        task_id TEXT NOT NULL REFERENCES consult_task (task_id), revision BIGINT NOT NULL, event TEXT NOT NULL, sealed TEXT,
        sequenced_at BIGINT NOT NULL, PRIMARY KEY (task_id, revision))`,
      `CREATE TABLE consult_command (
        hospital_id TEXT NOT NULL, command_id TEXT NOT NULL, answer TEXT NOT NULL, answered_at BIGINT NOT NULL,
        PRIMARY KEY (hospital_id, command_id))`,
    ],
  },
  {
    name: '0002-recollection',
    // For a hub that lost its latest work with a disk: the order it had given, and commands that came again before their turn.
    up: [
      `CREATE TABLE consult_order (
        task_id TEXT NOT NULL, revision BIGINT NOT NULL, command_id TEXT NOT NULL, sequenced_at BIGINT NOT NULL, told_at BIGINT NOT NULL, PRIMARY KEY (task_id, revision))`,
      `CREATE TABLE consult_early (
        hospital_id TEXT NOT NULL, command_id TEXT NOT NULL, task_id TEXT NOT NULL, command TEXT NOT NULL, came_at BIGINT NOT NULL,
        PRIMARY KEY (hospital_id, command_id))`,
      'CREATE INDEX consult_early_of_task ON consult_early (task_id, came_at)',
    ],
  },
]
