import type { Migration } from 'service-kit'

/** Where the archive's files lie besides its own root; beside the index's tables, in the same database. */
export const storageMigrations: readonly Migration[] = [
  {
    name: '0001-storage',
    up: [
      // '' is the archive's own root, otherwise the store whose copy is the lasting one.
      "ALTER TABLE archive_study ADD COLUMN tier TEXT NOT NULL DEFAULT ''",
      'ALTER TABLE archive_study ADD COLUMN opened_at BIGINT NOT NULL DEFAULT 0',
      `CREATE TABLE archive_copy (file_id TEXT NOT NULL, store_id TEXT NOT NULL, study_instance_uid TEXT NOT NULL, object_key TEXT NOT NULL,
        size_bytes BIGINT NOT NULL, sm3 TEXT NOT NULL, role TEXT NOT NULL, copied_at BIGINT NOT NULL, PRIMARY KEY (file_id, store_id))`,
      'CREATE UNIQUE INDEX archive_copy_by_key ON archive_copy (store_id, object_key)',
      'CREATE INDEX archive_copy_by_study ON archive_copy (study_instance_uid)',
      // Files whose local copy has left on purpose: they are not lost. Called back, they are here for a while (left_at 0).
      'CREATE TABLE archive_away (file_id TEXT PRIMARY KEY, study_instance_uid TEXT NOT NULL, left_at BIGINT NOT NULL)',
      'CREATE INDEX archive_away_by_study ON archive_away (study_instance_uid)',
      `CREATE TABLE archive_move (study_instance_uid TEXT NOT NULL, store_id TEXT NOT NULL, kind TEXT NOT NULL, asked_at BIGINT NOT NULL, asked_by TEXT NOT NULL,
        not_before BIGINT NOT NULL, attempts INTEGER NOT NULL, fault TEXT NOT NULL, PRIMARY KEY (study_instance_uid, store_id, kind))`,
      'CREATE INDEX archive_move_by_turn ON archive_move (not_before, asked_at)',
      // Objects that no row names, or none will: written down before an object is made, so that a crash leaves no stray.
      'CREATE TABLE archive_discard (store_id TEXT NOT NULL, object_key TEXT NOT NULL, not_before BIGINT NOT NULL, PRIMARY KEY (store_id, object_key))',
      'CREATE TABLE archive_sweep (name TEXT PRIMARY KEY, position TEXT NOT NULL, at_ms BIGINT NOT NULL)',
      `CREATE TABLE archive_check_pass (pass_id TEXT PRIMARY KEY, state TEXT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT, position TEXT NOT NULL, checked INTEGER NOT NULL,
        checked_bytes BIGINT NOT NULL, missing INTEGER NOT NULL, corrupt INTEGER NOT NULL, repaired INTEGER NOT NULL, unreachable INTEGER NOT NULL)`,
      `CREATE TABLE archive_finding (finding_id TEXT PRIMARY KEY, study_instance_uid TEXT NOT NULL, sop_instance_uid TEXT NOT NULL, store_id TEXT NOT NULL,
        kind TEXT NOT NULL, found_at BIGINT NOT NULL)`,
      'CREATE INDEX archive_finding_newest ON archive_finding (found_at)',
      `CREATE TABLE archive_recycled (study_instance_uid TEXT PRIMARY KEY, hospital_id TEXT NOT NULL, patient_name TEXT NOT NULL, modalities TEXT NOT NULL, study_date TEXT NOT NULL,
        accession_number TEXT NOT NULL, instance_count INTEGER NOT NULL, size_bytes BIGINT NOT NULL, deleted_at BIGINT NOT NULL, deleted_by TEXT NOT NULL, reason TEXT NOT NULL,
        destroy_after BIGINT NOT NULL)`,
      // Rows as they were, one JSON object each.
      'CREATE TABLE archive_recycled_row (study_instance_uid TEXT NOT NULL, table_name TEXT NOT NULL, row_number INTEGER NOT NULL, content TEXT NOT NULL, PRIMARY KEY (study_instance_uid, table_name, row_number))',
      'CREATE TABLE archive_recycled_file (kept_as TEXT PRIMARY KEY, study_instance_uid TEXT NOT NULL)',
    ],
  },
  { name: '0002-moves-by-kind', up: ['CREATE INDEX archive_move_by_kind ON archive_move (kind, not_before)'] },
]
