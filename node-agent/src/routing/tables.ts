import { randomUUID } from 'node:crypto'
import type { Migration } from 'service-kit'

/** After those of `dicom-node`, whose queue of forwarded studies it completes: one queue for pushes, routing and prefetch. */
export const routingMigrations: readonly Migration[] = [
  {
    name: '0001-one-queue',
    up: async (tx) => {
      for (const column of [
        'forward_id TEXT',
        // In which archive the study is.
        `kept TEXT NOT NULL DEFAULT 'regional'`,
        'rule_id TEXT',
        'priority INTEGER NOT NULL DEFAULT 5',
        // JSON of the modalities whose series go; NULL: the whole study.
        'series_modalities TEXT',
        'give_up_at BIGINT',
      ])
        await tx.run(`ALTER TABLE dicom_forward ADD COLUMN ${column}`)
      for (const row of await tx.all<{ study: string; node: string }>('SELECT study_instance_uid AS "study", node_id AS "node" FROM dicom_forward'))
        await tx.run('UPDATE dicom_forward SET forward_id = $3 WHERE study_instance_uid = $1 AND node_id = $2', [row.study, row.node, randomUUID()])
      await tx.run('CREATE UNIQUE INDEX dicom_forward_id ON dicom_forward (forward_id)')
      await tx.run('CREATE INDEX dicom_forward_created ON dicom_forward (created_at)')
    },
  },
  {
    name: '0002-routing',
    up: [
      `CREATE TABLE routing_rule (rule_id TEXT PRIMARY KEY, body TEXT NOT NULL, revision INTEGER NOT NULL, created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL, updated_by TEXT NOT NULL, removed_at BIGINT)`,
      // Studies that still receive images, until they have been quiet.
      `CREATE TABLE routing_pending (study_instance_uid TEXT PRIMARY KEY, sources TEXT NOT NULL, last_at BIGINT NOT NULL)`,
      // What a rule has been asked about: rules differ in how long they wait, and a study may grow again.
      `CREATE TABLE routing_judged (rule_id TEXT NOT NULL, subject TEXT NOT NULL, last_at BIGINT NOT NULL, PRIMARY KEY (rule_id, subject))`,
      `CREATE TABLE routing_exam (exam_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL)`,
      `CREATE TABLE routing_mark (name TEXT PRIMARY KEY, at BIGINT NOT NULL)`,
      `CREATE TABLE routing_log (log_id TEXT PRIMARY KEY, at BIGINT NOT NULL, rule_id TEXT, rule_name TEXT NOT NULL, event TEXT NOT NULL,
        study_instance_uid TEXT, outcome TEXT NOT NULL, facts TEXT NOT NULL)`,
      'CREATE INDEX routing_log_at ON routing_log (at)',
      `CREATE TABLE routing_destination (node_id TEXT PRIMARY KEY, associations INTEGER NOT NULL, kilobytes_per_second INTEGER NOT NULL)`,
    ],
  },
  // Whether an instance came that was not here before; otherwise known ones came back changed.
  { name: '0003-new-instances', up: ['ALTER TABLE routing_pending ADD COLUMN has_new INTEGER NOT NULL DEFAULT 1'] },
]
