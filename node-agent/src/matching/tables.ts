import type { Migration } from 'service-kit'

export const matchingMigrations: readonly Migration[] = [
  {
    name: '0001-correction',
    // What was moved where, by whom and why, and everything that undoing needs: files themselves stay in the archive, under the correction's id.
    up: [
      `CREATE TABLE study_correction (correction_id TEXT PRIMARY KEY, study_instance_uid TEXT NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL, exam_id TEXT NOT NULL,
        reason TEXT NOT NULL, actor_id TEXT NOT NULL, actor_name TEXT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT, body TEXT NOT NULL)`,
      'CREATE INDEX study_correction_of_study ON study_correction (study_instance_uid, started_at)',
      'CREATE INDEX study_correction_by_state ON study_correction (state)',
    ],
  },
  { name: '0002-mark', up: ['CREATE TABLE matching_mark (name TEXT PRIMARY KEY, marked_at BIGINT NOT NULL)'] },
]
