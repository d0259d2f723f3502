import type { Database } from 'service-kit'

/** An index that speeds up a question and that no answer depends on: until it is built, the same question is asked of the whole table. */
export interface ArchiveIndex {
  /** Never used again for other columns: an index that is there under its name counts as built. */
  readonly name: string
  readonly table: string
  /** What stands between the parentheses: columns or expressions; one text for each dialect where they differ (an operator class, for instance). */
  readonly columns: string | Readonly<Record<Database['dialect'], string>>
  /** Where the other dialect needs none. */
  readonly only?: Database['dialect']
  /** Of a partial index. */
  readonly where?: string
}

/**
 * Indexes that are built beside the running service (upkeep.ts): at once in a small or new archive, otherwise after the node serves. The one place to add
 * one; what identity and uniqueness rest on stays in tables.ts. PostgreSQL builds them without holding writers up; SQLite holds commits up for about
 * two seconds per million rows, and waits for a moment in which nothing arrives.
 */
export const archiveIndexes: readonly ArchiveIndex[] = [
  // In the order of every list of studies, and with the name that most searches ask for: rows that do not match are passed over unread.
  { name: 'archive_study_in_order', table: 'archive_study', columns: 'study_date DESC, study_time DESC, study_instance_uid, patient_name_key' },
  { name: 'archive_study_by_name', table: 'archive_study', columns: 'patient_name_key, study_date, study_time, study_instance_uid' },
  { name: 'archive_study_by_birth_date', table: 'archive_study', columns: 'patient_birth_date' },
  // PostgreSQL compares texts by the rules of a language; only these find what begins with something.
  { name: 'archive_study_patient_begins', table: 'archive_study', columns: 'patient_id text_pattern_ops', only: 'postgres' },
  { name: 'archive_study_accession_begins', table: 'archive_study', columns: 'accession_number text_pattern_ops', only: 'postgres' },
  // What lists tell of a study's series, without reading their rows.
  { name: 'archive_series_facets', table: 'archive_series', columns: 'study_instance_uid, modality, body_part_examined' },
  // 院区: what is asked for within one campus, in the order of lists.
  { name: 'archive_study_by_campus', table: 'archive_study', columns: 'campus, study_date DESC, study_time DESC, study_instance_uid', where: "campus <> ''" },
  // What came today.
  { name: 'archive_study_by_update', table: 'archive_study', columns: 'updated_at, study_instance_uid' },
  { name: 'archive_patient_by_id', table: 'archive_patient', columns: 'patient_id, patient_key' },
  { name: 'archive_patient_by_name', table: 'archive_patient', columns: 'patient_name_key' },
  { name: 'archive_name_word_begins', table: 'archive_name_word', columns: 'word text_pattern_ops, name_key', only: 'postgres' },
]
