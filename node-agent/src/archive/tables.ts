import type { Migration } from 'service-kit'

/** Every row carries region and hospital (FED-09, FED-20). `…_key` columns hold folded text for matching, see matching.ts. */
export const migrations: readonly Migration[] = [
  {
    name: '0001-index',
    up: [
      `CREATE TABLE archive_patient (
        patient_key TEXT PRIMARY KEY, region_id TEXT NOT NULL, hospital_id TEXT NOT NULL,
        patient_id TEXT NOT NULL, issuer_of_patient_id TEXT NOT NULL, patient_name TEXT NOT NULL, patient_name_key TEXT NOT NULL,
        patient_birth_date TEXT NOT NULL, patient_sex TEXT NOT NULL, registered_at BIGINT NOT NULL)`,
      `CREATE TABLE archive_study (
        study_instance_uid TEXT PRIMARY KEY, region_id TEXT NOT NULL, hospital_id TEXT NOT NULL, patient_key TEXT NOT NULL,
        patient_id TEXT NOT NULL, issuer_of_patient_id TEXT NOT NULL, patient_name TEXT NOT NULL, patient_name_key TEXT NOT NULL,
        patient_birth_date TEXT NOT NULL, patient_sex TEXT NOT NULL, patient_age TEXT NOT NULL,
        study_date TEXT NOT NULL, study_time TEXT NOT NULL, accession_number TEXT NOT NULL, study_id TEXT NOT NULL,
        study_description TEXT NOT NULL, referring_physician_name TEXT NOT NULL, referring_physician_name_key TEXT NOT NULL,
        institution_name TEXT NOT NULL,
        instance_count INTEGER NOT NULL, size_bytes BIGINT NOT NULL, duplicate_count INTEGER NOT NULL,
        received_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
      'CREATE INDEX archive_study_by_date ON archive_study (study_date, study_time)',
      'CREATE INDEX archive_study_by_patient ON archive_study (patient_id)',
      'CREATE INDEX archive_study_by_patient_key ON archive_study (patient_key)',
      'CREATE INDEX archive_study_by_accession ON archive_study (accession_number)',
      `CREATE TABLE archive_series (
        study_instance_uid TEXT NOT NULL, series_instance_uid TEXT NOT NULL, region_id TEXT NOT NULL, hospital_id TEXT NOT NULL,
        modality TEXT NOT NULL, series_number TEXT NOT NULL, series_description TEXT NOT NULL, series_date TEXT NOT NULL,
        series_time TEXT NOT NULL, body_part_examined TEXT NOT NULL, laterality TEXT NOT NULL, protocol_name TEXT NOT NULL,
        manufacturer TEXT NOT NULL, manufacturer_model_name TEXT NOT NULL, station_name TEXT NOT NULL,
        performed_procedure_step_start_date TEXT NOT NULL, performed_procedure_step_start_time TEXT NOT NULL,
        instance_count INTEGER NOT NULL, size_bytes BIGINT NOT NULL, version INTEGER NOT NULL, updated_at BIGINT NOT NULL,
        PRIMARY KEY (study_instance_uid, series_instance_uid))`,
      'CREATE INDEX archive_series_by_uid ON archive_series (series_instance_uid)',
      `CREATE TABLE archive_series_class (study_instance_uid TEXT NOT NULL, series_instance_uid TEXT NOT NULL, sop_class_uid TEXT NOT NULL,
        PRIMARY KEY (study_instance_uid, series_instance_uid, sop_class_uid))`,
      `CREATE TABLE archive_instance (
        sop_instance_uid TEXT PRIMARY KEY, study_instance_uid TEXT NOT NULL, series_instance_uid TEXT NOT NULL,
        region_id TEXT NOT NULL, hospital_id TEXT NOT NULL,
        sop_class_uid TEXT NOT NULL, transfer_syntax_uid TEXT NOT NULL, instance_number TEXT NOT NULL,
        content_date TEXT NOT NULL, content_time TEXT NOT NULL, image_type TEXT NOT NULL,
        rows INTEGER, columns INTEGER, bits_allocated INTEGER, number_of_frames INTEGER,
        size_bytes BIGINT NOT NULL, sm3 TEXT NOT NULL, path TEXT NOT NULL, file_id TEXT NOT NULL,
        header_bytes BIGINT NOT NULL, dataset_offset INTEGER NOT NULL, frame_index TEXT NOT NULL, missing INTEGER NOT NULL,
        received_at BIGINT NOT NULL, source_kind TEXT NOT NULL, source_peer TEXT NOT NULL)`,
      'CREATE INDEX archive_instance_by_series ON archive_instance (study_instance_uid, series_instance_uid)',
      'CREATE UNIQUE INDEX archive_instance_by_file ON archive_instance (file_id)',
      `CREATE TABLE archive_replacement (
        replacement_id TEXT PRIMARY KEY, sop_instance_uid TEXT NOT NULL, study_instance_uid TEXT NOT NULL,
        previous_sm3 TEXT NOT NULL, previous_size_bytes BIGINT NOT NULL, new_sm3 TEXT NOT NULL, kept_as TEXT NOT NULL,
        replaced_at BIGINT NOT NULL, source_kind TEXT NOT NULL, source_peer TEXT NOT NULL)`,
      'CREATE INDEX archive_replacement_by_study ON archive_replacement (study_instance_uid)',
      // Files whose rows are gone already and which only wait for being unlinked.
      'CREATE TABLE archive_unlink (path TEXT PRIMARY KEY)',
    ],
  },
  { name: '0002-study-by-region', up: ['CREATE INDEX archive_study_by_region ON archive_study (region_id)'] },
  {
    name: '0003-encryption',
    up: [
      // An encrypted file replaces a plain one under another name.
      "ALTER TABLE archive_replacement ADD COLUMN previous_path TEXT NOT NULL DEFAULT ''",
      // Opens under the vault that the archive's files were encrypted with, and under no other.
      'CREATE TABLE archive_key_check (name TEXT PRIMARY KEY, sealed TEXT NOT NULL)',
      // Files that a conversion makes or leaves behind: whatever is named here and by no other row may be removed.
      'CREATE TABLE archive_conversion (path TEXT PRIMARY KEY)',
      'CREATE TABLE archive_conversion_lease (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_ms BIGINT NOT NULL)',
    ],
  },
  // How far backfills.ts is; indexes tell by being there.
  { name: '0004-upkeep', up: ['CREATE TABLE archive_backfill (name TEXT PRIMARY KEY, position TEXT NOT NULL, done BIGINT NOT NULL, ended_at BIGINT)'] },
  {
    name: '0005-rewrite',
    up: [
      // Digests under which senders know instances that are kept in another form (corrected, normalised, compressed).
      `CREATE TABLE archive_original (sop_instance_uid TEXT NOT NULL, sm3 TEXT NOT NULL, study_instance_uid TEXT NOT NULL, PRIMARY KEY (sop_instance_uid, sm3))`,
      'CREATE INDEX archive_original_by_study ON archive_original (study_instance_uid)',
      "ALTER TABLE archive_replacement ADD COLUMN reason TEXT NOT NULL DEFAULT 'sent'",
      "ALTER TABLE archive_replacement ADD COLUMN rewrite_id TEXT NOT NULL DEFAULT ''",
      // What was changed on the way in (ARC-25).
      `CREATE TABLE archive_coercion (coercion_id TEXT PRIMARY KEY, sop_instance_uid TEXT NOT NULL, study_instance_uid TEXT NOT NULL, coerced_at BIGINT NOT NULL,
        coerced_by TEXT NOT NULL, changes TEXT NOT NULL, original_sm3 TEXT NOT NULL, source_peer TEXT NOT NULL)`,
      'CREATE INDEX archive_coercion_by_study ON archive_coercion (study_instance_uid)',
      'CREATE INDEX archive_coercion_newest ON archive_coercion (coerced_at, coercion_id)',
    ],
  },
  // Filled for names of before by backfills.ts.
  { name: '0005-name-words', up: ['CREATE TABLE archive_name_word (word TEXT NOT NULL, name_key TEXT NOT NULL, PRIMARY KEY (word, name_key))'] },
  {
    name: '0006-receiver',
    // 接收节点 (FED-19): by node, because lists are asked for by it.
    up: [
      `CREATE TABLE archive_study_receiver (receiving_node TEXT NOT NULL, study_instance_uid TEXT NOT NULL, first_at BIGINT NOT NULL,
        PRIMARY KEY (receiving_node, study_instance_uid))`,
      'CREATE INDEX archive_study_receiver_by_study ON archive_study_receiver (study_instance_uid)',
    ],
  },
  // 院区 (ARC-19): as the exam's register says it (matching/campus.ts).
  { name: '0007-campus', up: ["ALTER TABLE archive_study ADD COLUMN campus TEXT NOT NULL DEFAULT ''", "ALTER TABLE archive_series ADD COLUMN campus TEXT NOT NULL DEFAULT ''"] },
]
