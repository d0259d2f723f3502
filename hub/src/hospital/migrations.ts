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
]
