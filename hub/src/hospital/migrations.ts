import type { Migration } from 'service-kit'

/** Tables of the registry; `current_serial` points to the one certificate that counts, null before joining and after revocation. */
export const hospitalMigrations: readonly Migration[] = [
  {
    name: '0001-registry',
    up: [
      `CREATE TABLE hospital (
        id TEXT PRIMARY KEY, code TEXT NOT NULL UNIQUE, name TEXT NOT NULL, agent_address TEXT NOT NULL,
        kinds TEXT NOT NULL, task_types TEXT NOT NULL, flow_modes TEXT NOT NULL,
        current_serial TEXT, revoked_at BIGINT, agent_version TEXT, last_seen_at BIGINT, operating TEXT,
        created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)`,
      `CREATE TABLE certificate (
        serial TEXT PRIMARY KEY, hospital_id TEXT NOT NULL REFERENCES hospital (id), pem TEXT NOT NULL,
        issued_at BIGINT NOT NULL, expires BIGINT NOT NULL, revoked_at BIGINT, reason TEXT)`,
      'CREATE INDEX certificate_revoked ON certificate (revoked_at)',
      `CREATE TABLE join_code (
        digest TEXT PRIMARY KEY, hospital_id TEXT NOT NULL REFERENCES hospital (id),
        created_at BIGINT NOT NULL, expires BIGINT NOT NULL, used_at BIGINT)`,
      'CREATE TABLE revocation_list (number BIGINT PRIMARY KEY, pem TEXT NOT NULL, issued_at BIGINT NOT NULL)',
      'CREATE TABLE region_counter (name TEXT PRIMARY KEY, value BIGINT NOT NULL)',
      "INSERT INTO region_counter (name, value) VALUES ('directory', 0)",
    ],
  },
  {
    name: '0002-certificates-of-every-kind',
    // Not only hospitals hold certificates: doctors do, and services. SQLite takes no NOT NULL away, so the table is made anew.
    up: [
      'DROP INDEX certificate_revoked',
      'ALTER TABLE certificate RENAME TO hospital_certificate',
      `CREATE TABLE certificate (
        serial TEXT PRIMARY KEY, kind TEXT NOT NULL, hospital_id TEXT REFERENCES hospital (id), user_id TEXT, subject TEXT NOT NULL, title TEXT NOT NULL,
        organisation TEXT NOT NULL, pem TEXT NOT NULL, issued_at BIGINT NOT NULL, expires BIGINT NOT NULL, replaced_at BIGINT,
        revoked_at BIGINT, reason_code TEXT, reason TEXT)`,
      `INSERT INTO certificate (serial, kind, hospital_id, user_id, subject, title, organisation, pem, issued_at, expires, revoked_at, reason_code, reason)
        SELECT c.serial, 'party', c.hospital_id, NULL, c.hospital_id, '', h.name, c.pem, c.issued_at, c.expires, c.revoked_at,
          CASE WHEN c.revoked_at IS NULL THEN NULL WHEN c.reason = 'superseded' THEN 'superseded' ELSE 'cessation-of-operation' END, c.reason
        FROM hospital_certificate c JOIN hospital h ON h.id = c.hospital_id`,
      'DROP TABLE hospital_certificate',
      'CREATE INDEX certificate_is_revoked ON certificate (revoked_at)',
      'CREATE INDEX certificate_of_holder ON certificate (hospital_id, user_id)',
      'CREATE INDEX certificate_by_issue ON certificate (issued_at, serial)',
      'CREATE INDEX certificate_by_end ON certificate (expires)',
      'ALTER TABLE hospital ADD COLUMN encryption_serial TEXT',
    ],
  },
  {
    name: '0003-authorities',
    // Key identifier of the authority that issued it: a region changes its authority's key, and each lists what it certified itself.
    up: [
      'ALTER TABLE certificate ADD COLUMN authority TEXT',
      'ALTER TABLE revocation_list ADD COLUMN authority TEXT',
    ],
  },
]
