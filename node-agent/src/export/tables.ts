import type { Migration } from 'service-kit'

export const exportMigrations: readonly Migration[] = [
  {
    name: '0001-export',
    up: [
      // The record of an authorised export: what, for what, why, on whose word, and what became of it.
      `CREATE TABLE export_job (export_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, account_name TEXT NOT NULL, study_instance_uid TEXT NOT NULL,
        request TEXT NOT NULL, project_id TEXT NOT NULL, project_name TEXT NOT NULL, image_count INTEGER NOT NULL, size_bytes BIGINT NOT NULL, left_out TEXT NOT NULL,
        state TEXT NOT NULL, done INTEGER NOT NULL, sent_bytes BIGINT NOT NULL, run INTEGER NOT NULL, created_at BIGINT NOT NULL, started_at BIGINT,
        touched_at BIGINT NOT NULL, ended_at BIGINT, open_until BIGINT NOT NULL)`,
      'CREATE INDEX export_job_account ON export_job (account_id, created_at)',
      // Pseudonyms mean something inside one project only; its key makes UIDs and offsets of dates.
      'CREATE TABLE export_project (project_id TEXT PRIMARY KEY, name TEXT, sealed_key TEXT NOT NULL, created_by TEXT NOT NULL, created_at BIGINT NOT NULL)',
      'CREATE UNIQUE INDEX export_project_name ON export_project (name)',
      `CREATE TABLE export_pseudonym (pseudonym_id TEXT PRIMARY KEY, project_id TEXT NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL, original_index TEXT NOT NULL,
        sealed TEXT NOT NULL, created_at BIGINT NOT NULL)`,
      'CREATE UNIQUE INDEX export_pseudonym_original ON export_pseudonym (project_id, kind, original_index)',
      'CREATE UNIQUE INDEX export_pseudonym_number ON export_pseudonym (project_id, kind, number)',
    ],
  },
]

/** For re-sealing with a new key. */
export const sealedExports = [
  { table: 'export_project', key: 'project_id', column: 'sealed_key', context: (projectId: string) => `export-project/${projectId}` },
  { table: 'export_pseudonym', key: 'pseudonym_id', column: 'sealed', context: (pseudonymId: string) => `export-pseudonym/${pseudonymId}` },
]
