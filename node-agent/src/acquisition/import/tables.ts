import type { Migration } from 'service-kit'

export const importMigrations: readonly Migration[] = [
  {
    name: '0001-import',
    up: [
      `CREATE TABLE image_import (import_id TEXT PRIMARY KEY, name TEXT NOT NULL, origin TEXT NOT NULL, state TEXT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT,
        user_id TEXT NOT NULL, started_by TEXT NOT NULL, files_expected INTEGER NOT NULL, listed INTEGER, missing TEXT NOT NULL, problem TEXT)`,
      'CREATE INDEX image_import_started ON image_import (started_at)',
      `CREATE TABLE image_import_file (import_id TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, outcome TEXT NOT NULL, size_bytes BIGINT NOT NULL,
        study_instance_uid TEXT, sop_instance_uid TEXT, problem TEXT, PRIMARY KEY (import_id, position))`,
      'CREATE INDEX image_import_file_outcome ON image_import_file (import_id, outcome)',
    ],
  },
]
