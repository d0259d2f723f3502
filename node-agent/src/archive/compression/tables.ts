import type { Migration } from 'service-kit'

/** In the node's own database, beside the exams by whose rest the rules go. */
export const compressionMigrations: readonly Migration[] = [
  {
    name: '0001-compression',
    up: [
      // `rested_at` and `rested_exam`: up to which exam, in the order in which they came to rest, the rule has been applied.
      `CREATE TABLE compression_rule (rule_id TEXT PRIMARY KEY, body TEXT NOT NULL, revision INTEGER NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
        updated_by TEXT NOT NULL, rested_at BIGINT NOT NULL DEFAULT 0, rested_exam TEXT NOT NULL DEFAULT '')`,
      `CREATE TABLE compression_result (rule_id TEXT NOT NULL, study_instance_uid TEXT NOT NULL, state TEXT NOT NULL, instances INTEGER NOT NULL, before_bytes BIGINT NOT NULL,
        after_bytes BIGINT NOT NULL, code TEXT NOT NULL, attempts INTEGER NOT NULL, finished_at BIGINT NOT NULL, PRIMARY KEY (rule_id, study_instance_uid))`,
      'CREATE INDEX compression_result_state ON compression_result (state, finished_at)',
      'CREATE INDEX exam_updated ON exam (updated_at, exam_id)',
    ],
  },
]
