import type { Migration } from 'service-kit'

export const acquisitionMigrations: readonly Migration[] = [
  {
    name: '0001-acquisition',
    up: [
      `CREATE TABLE acquisition_job (job_id TEXT PRIMARY KEY, body TEXT NOT NULL, next_run_at BIGINT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, removed_at BIGINT)`,
      // What the job said when the run began, its dates already fixed; `wants` is the wish of a prefetch rule.
      `CREATE TABLE acquisition_run (run_id TEXT PRIMARY KEY, job_id TEXT, job_name TEXT NOT NULL, node_id TEXT NOT NULL, body TEXT NOT NULL, wants TEXT,
        cause TEXT NOT NULL, state TEXT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT, next_at BIGINT, attempts INTEGER NOT NULL, truncated INTEGER NOT NULL, problem TEXT)`,
      'CREATE INDEX acquisition_run_state ON acquisition_run (state, next_at)',
      'CREATE INDEX acquisition_run_started ON acquisition_run (started_at)',
      `CREATE TABLE acquisition_study (run_id TEXT NOT NULL, study_instance_uid TEXT NOT NULL, patient_id TEXT NOT NULL, position INTEGER NOT NULL, study_date TEXT NOT NULL, modalities TEXT NOT NULL,
        told_instances INTEGER, state TEXT NOT NULL, proof TEXT NOT NULL, expected INTEGER NOT NULL, held_before INTEGER NOT NULL, held INTEGER NOT NULL,
        attempts INTEGER NOT NULL, missing TEXT NOT NULL, problem TEXT, updated_at BIGINT NOT NULL, PRIMARY KEY (run_id, study_instance_uid))`,
      'CREATE INDEX acquisition_study_uid ON acquisition_study (study_instance_uid)',
    ],
  },
]
