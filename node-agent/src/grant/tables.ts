import type { Migration } from 'service-kit'

/** 授权: what this hospital shares with others, what its people have been given by others, and consents of patients. */
export const sharingMigrations: readonly Migration[] = [
  {
    name: '0001-sharing',
    up: [
      `CREATE TABLE authorisation (authorisation_id TEXT PRIMARY KEY, kind TEXT NOT NULL, patient_id TEXT NOT NULL, consent_id TEXT, body TEXT NOT NULL,
        issued_at BIGINT NOT NULL, expires BIGINT NOT NULL, withdrawn_at BIGINT, withdrawn_by TEXT, withdrawn_because TEXT)`,
      'CREATE INDEX authorisation_patient ON authorisation (patient_id, expires)',
      'CREATE INDEX authorisation_issued ON authorisation (issued_at, authorisation_id)',
      'CREATE UNIQUE INDEX authorisation_consent ON authorisation (consent_id)',
      // Withdrawals on their way to those who hold the grants; a row stays until it is confirmed or the grant has ended by itself.
      `CREATE TABLE grant_notice (grant_id TEXT NOT NULL, grantee TEXT NOT NULL, withdrawn_at BIGINT NOT NULL, grant_expires BIGINT NOT NULL,
        attempts INTEGER NOT NULL, next_at BIGINT NOT NULL, confirmed_at BIGINT, PRIMARY KEY (grant_id, grantee))`,
      'CREATE INDEX grant_notice_due ON grant_notice (confirmed_at, next_at)',
      // What people here were given; texts of the exam are sealed.
      `CREATE TABLE held_grant (grant_id TEXT PRIMARY KEY, owner TEXT NOT NULL, person_id TEXT NOT NULL, study_instance_uid TEXT NOT NULL, kind TEXT NOT NULL,
        purpose TEXT NOT NULL, reason TEXT NOT NULL, signed TEXT NOT NULL, exam TEXT NOT NULL, given_at BIGINT NOT NULL, expires BIGINT NOT NULL)`,
      'CREATE INDEX held_grant_study ON held_grant (study_instance_uid, person_id)',
      'CREATE INDEX held_grant_person ON held_grant (person_id, given_at)',
      // Of any grant of another hospital, a task's included: what its owner has told us.
      'CREATE TABLE foreign_withdrawal (owner TEXT NOT NULL, grant_id TEXT NOT NULL, withdrawn_at BIGINT NOT NULL, told_at BIGINT NOT NULL, PRIMARY KEY (owner, grant_id))',
      // Who the patient is stands sealed; the indices are keyed, so that equal people are found and nobody is read off.
      `CREATE TABLE consent (consent_id TEXT PRIMARY KEY, direction TEXT NOT NULL, patient TEXT NOT NULL, id_card_index TEXT NOT NULL, person_index TEXT NOT NULL,
        patient_id TEXT NOT NULL, recorded_hospital TEXT NOT NULL, recorded_at BIGINT NOT NULL, recorded_by TEXT NOT NULL, recorded_name TEXT NOT NULL,
        text_version TEXT NOT NULL, form TEXT NOT NULL, grantees TEXT NOT NULL, purposes TEXT NOT NULL, scope TEXT NOT NULL, expires BIGINT NOT NULL,
        authorisation_id TEXT, code_index TEXT, code_expires BIGINT, redeemed_by TEXT, redeemed_at BIGINT,
        withdrawn_at BIGINT, withdrawn_name TEXT, withdrawn_because TEXT)`,
      'CREATE INDEX consent_id_card ON consent (id_card_index)',
      'CREATE INDEX consent_person ON consent (person_index)',
      'CREATE UNIQUE INDEX consent_code ON consent (code_index)',
      'CREATE INDEX consent_recorded ON consent (recorded_at, consent_id)',
      // Hospitals that were shown a consent recorded here, and whether they know of its withdrawal.
      `CREATE TABLE consent_shown (consent_id TEXT NOT NULL, hospital TEXT NOT NULL, withdrawn_at BIGINT, attempts INTEGER NOT NULL, next_at BIGINT NOT NULL,
        confirmed_at BIGINT, PRIMARY KEY (consent_id, hospital))`,
    ],
  },
]
