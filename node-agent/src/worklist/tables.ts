import type { Migration } from 'service-kit'

/** What is to be done at the modalities, and what they have done. The whole of an item and of a step stands in JSON beside the columns that are searched by. */
export const worklistMigrations: readonly Migration[] = [
  {
    name: '0001-worklist',
    up: [
      `CREATE TABLE worklist_item (item_id TEXT PRIMARY KEY, exam_id TEXT, state TEXT NOT NULL, cancelled INTEGER NOT NULL, scheduled_step_id TEXT NOT NULL UNIQUE,
        accession_number TEXT NOT NULL, study_instance_uid TEXT NOT NULL, patient_id TEXT NOT NULL, modality TEXT NOT NULL, station_ae_title TEXT NOT NULL,
        start_date TEXT NOT NULL, start_time TEXT NOT NULL, draft TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
      'CREATE INDEX worklist_item_due ON worklist_item (start_date, start_time, item_id)',
      'CREATE INDEX worklist_item_accession ON worklist_item (accession_number)',
      'CREATE INDEX worklist_item_study ON worklist_item (study_instance_uid)',
      'CREATE INDEX worklist_item_exam ON worklist_item (exam_id)',
      `CREATE TABLE performed_step (sop_instance_uid TEXT PRIMARY KEY, state TEXT NOT NULL, calling_ae_title TEXT NOT NULL, study_instance_uid TEXT NOT NULL,
        accession_number TEXT NOT NULL, exam_id TEXT, data_set TEXT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
      'CREATE INDEX performed_step_study ON performed_step (study_instance_uid)',
      'CREATE INDEX performed_step_exam ON performed_step (exam_id)',
      `CREATE TABLE performed_step_item (sop_instance_uid TEXT NOT NULL, item_id TEXT NOT NULL, PRIMARY KEY (sop_instance_uid, item_id))`,
      'CREATE INDEX performed_step_item_item ON performed_step_item (item_id)',
    ],
  },
]
