import type { Migration } from 'service-kit'

/** Rules with their history, emergency accesses, and a counter by which other processes of the node notice a change. */
export const policyMigrations: readonly Migration[] = [
  {
    name: '0001-policy',
    up: [
      // A rule never changes: a new one replaces it. So the trail and the history say what held at any time.
      `CREATE TABLE access_rule (rule_id TEXT PRIMARY KEY, effect TEXT NOT NULL, subject_kind TEXT NOT NULL, subject_id TEXT NOT NULL, subject_key TEXT NOT NULL,
        object_kind TEXT NOT NULL, object_id TEXT NOT NULL, object_key TEXT NOT NULL, doings INTEGER NOT NULL, valid_from BIGINT NOT NULL, valid_until BIGINT,
        from_minute INTEGER, until_minute INTEGER, days INTEGER, reason TEXT NOT NULL, author_id TEXT NOT NULL, author_name TEXT NOT NULL,
        created_at BIGINT NOT NULL, replaces TEXT, withdrawn_at BIGINT, withdrawn_by TEXT, withdrawn_name TEXT, withdrawn_because TEXT)`,
      'CREATE INDEX access_rule_object ON access_rule (object_key, effect)',
      'CREATE INDEX access_rule_subject ON access_rule (subject_key)',
      'CREATE INDEX access_rule_created ON access_rule (created_at, rule_id)',
      `CREATE TABLE break_glass (break_glass_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, account_name TEXT NOT NULL, department TEXT NOT NULL,
        patient_id TEXT NOT NULL, exam_id TEXT NOT NULL, reason TEXT NOT NULL, opened_at BIGINT NOT NULL, until BIGINT NOT NULL, ended_at BIGINT,
        review_due BIGINT NOT NULL, reviewed_at BIGINT, reviewer_id TEXT, reviewer_name TEXT, verdict TEXT, review_note TEXT)`,
      'CREATE INDEX break_glass_opened ON break_glass (opened_at, break_glass_id)',
      'CREATE TABLE access_version (name TEXT PRIMARY KEY, value BIGINT NOT NULL)',
      `INSERT INTO access_version (name, value) VALUES ('policy', 1)`,
      `CREATE TABLE image_export (account_id TEXT NOT NULL, study_instance_uid TEXT NOT NULL, day TEXT NOT NULL, reason TEXT NOT NULL,
        first_at BIGINT NOT NULL, last_at BIGINT NOT NULL, times INTEGER NOT NULL, PRIMARY KEY (account_id, day, study_instance_uid))`,
    ],
  },
]
