import type { Database, Migration } from '../database/index.ts'

/**
 * The trail's own database. `body` is the canonical JSON that was hashed; the other columns repeat some of it for searching and are compared
 * with it by every verification. Triggers refuse changes as a first fence; the chain, its signed checkpoints and their witnesses are the proof.
 */
export function auditMigrations(dialect: Database['dialect']): readonly Migration[] {
  const sqlite = dialect === 'sqlite'
  const key = sqlite ? 'INTEGER PRIMARY KEY' : 'BIGINT PRIMARY KEY'
  return [
    {
      name: '0001-trail',
      up: [
        `CREATE TABLE audit_record (
          seq ${key}, event_id TEXT NOT NULL, at BIGINT NOT NULL, action TEXT NOT NULL, outcome TEXT NOT NULL, actor_kind TEXT NOT NULL,
          actor_id TEXT NOT NULL, source_ip TEXT, object_type TEXT, object_id TEXT, owner TEXT, patient_key TEXT, label TEXT, code TEXT,
          body TEXT NOT NULL, hash TEXT NOT NULL)`,
        'CREATE UNIQUE INDEX audit_record_event ON audit_record (event_id)',
        'CREATE INDEX audit_record_at ON audit_record (at, seq)',
        'CREATE INDEX audit_record_actor ON audit_record (actor_id, at, seq)',
        'CREATE INDEX audit_record_action ON audit_record (action, at, seq)',
        'CREATE INDEX audit_record_object ON audit_record (object_id, at, seq) WHERE object_id IS NOT NULL',
        'CREATE INDEX audit_record_patient ON audit_record (patient_key, at, seq) WHERE patient_key IS NOT NULL',
        `CREATE INDEX audit_record_problem ON audit_record (outcome, at, seq) WHERE outcome <> 'success'`,
        'CREATE INDEX audit_record_label ON audit_record (label, at, seq) WHERE label IS NOT NULL',
        // One row. Whoever holds it writes the next records.
        'CREATE TABLE audit_head (id INTEGER PRIMARY KEY, trail_id TEXT NOT NULL, seq BIGINT NOT NULL, hash TEXT NOT NULL, at BIGINT NOT NULL)',
        `CREATE TABLE audit_checkpoint (seq ${key}, hash TEXT NOT NULL, at BIGINT NOT NULL, signed TEXT NOT NULL, witness TEXT, posted INTEGER NOT NULL)`,
        'CREATE INDEX audit_checkpoint_unposted ON audit_checkpoint (posted, seq)',
        `CREATE TABLE audit_stub (seq ${key}, hash TEXT NOT NULL, at BIGINT NOT NULL, signed TEXT NOT NULL)`,
        // How far something that follows the chain (syslog) has come, and which process does it at the moment.
        'CREATE TABLE audit_cursor (name TEXT PRIMARY KEY, seq BIGINT NOT NULL, holder TEXT NOT NULL, held_until BIGINT NOT NULL)',
        `CREATE TABLE audit_verification (id TEXT PRIMARY KEY, started_at BIGINT NOT NULL, ended_at BIGINT, state TEXT NOT NULL, started_by TEXT NOT NULL,
          records BIGINT NOT NULL, total BIGINT NOT NULL, findings TEXT NOT NULL)`,
        ...(sqlite ? sqliteFence : postgresFence),
      ],
    },
    // The head, signed with every batch: see tail.ts.
    { name: '0002-sealed-head', up: ['ALTER TABLE audit_head ADD COLUMN sealed TEXT'] },
    {
      name: '0003-search-in-indexes',
      up: [
        // What one question may ask for besides lies in the index, so that years of one person are passed over without reading a record.
        ...['actor', 'problem'].map((name) => `DROP INDEX audit_record_${name}`),
        'CREATE INDEX audit_record_actor ON audit_record (actor_id, at, seq, action, outcome, object_type)',
        `CREATE INDEX audit_record_problem ON audit_record (outcome, at, seq, action, object_type) WHERE outcome <> 'success'`,
        'CREATE INDEX audit_record_address ON audit_record (source_ip, at, seq, action, outcome) WHERE source_ip IS NOT NULL',
        'CREATE INDEX audit_record_owner ON audit_record (owner, at, seq, action, outcome) WHERE owner IS NOT NULL',
        'CREATE INDEX audit_record_type ON audit_record (object_type, at, seq) WHERE object_type IS NOT NULL',
      ],
    },
    {
      name: '0004-action-in-index',
      up: ['DROP INDEX audit_record_action', 'CREATE INDEX audit_record_action ON audit_record (action, at, seq, owner, outcome, object_type)'],
    },
  ]
}

const REFUSAL = 'the audit trail is append-only'

const sqliteFence = [
  `CREATE TRIGGER audit_record_unchanged BEFORE UPDATE ON audit_record BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
  `CREATE TRIGGER audit_record_kept BEFORE DELETE ON audit_record WHEN OLD.seq > COALESCE((SELECT MAX(seq) FROM audit_stub), 0)
   BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
  `CREATE TRIGGER audit_stub_kept BEFORE DELETE ON audit_stub BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
  `CREATE TRIGGER audit_stub_unchanged BEFORE UPDATE ON audit_stub BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
  `CREATE TRIGGER audit_checkpoint_kept BEFORE DELETE ON audit_checkpoint BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
  `CREATE TRIGGER audit_checkpoint_unchanged BEFORE UPDATE OF seq, hash, at, signed ON audit_checkpoint BEGIN SELECT RAISE(ABORT, '${REFUSAL}'); END`,
]

/** Function bodies are quoted by apostrophes: the dollar would be read as a parameter. */
const refuse = (name: string, condition: string) =>
  `CREATE FUNCTION ${name}() RETURNS trigger LANGUAGE plpgsql AS
   'BEGIN IF ${condition} THEN RAISE EXCEPTION ''${REFUSAL}''; END IF; IF TG_OP = ''DELETE'' THEN RETURN OLD; END IF; RETURN NEW; END'`

const postgresFence = [
  refuse('audit_refuse', 'TRUE'),
  refuse('audit_refuse_kept', 'OLD.seq > COALESCE((SELECT MAX(seq) FROM audit_stub), 0)'),
  refuse('audit_refuse_changed', 'NEW.seq <> OLD.seq OR NEW.hash <> OLD.hash OR NEW.at <> OLD.at OR NEW.signed <> OLD.signed'),
  'CREATE TRIGGER audit_record_unchanged BEFORE UPDATE ON audit_record FOR EACH ROW EXECUTE FUNCTION audit_refuse()',
  'CREATE TRIGGER audit_record_kept BEFORE DELETE ON audit_record FOR EACH ROW EXECUTE FUNCTION audit_refuse_kept()',
  'CREATE TRIGGER audit_record_whole BEFORE TRUNCATE ON audit_record FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()',
  'CREATE TRIGGER audit_stub_kept BEFORE UPDATE OR DELETE ON audit_stub FOR EACH ROW EXECUTE FUNCTION audit_refuse()',
  'CREATE TRIGGER audit_checkpoint_kept BEFORE DELETE ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_refuse()',
  'CREATE TRIGGER audit_checkpoint_unchanged BEFORE UPDATE ON audit_checkpoint FOR EACH ROW EXECUTE FUNCTION audit_refuse_changed()',
]

/** In the database of whoever calls `within`: events saved with their facts, on their way to the chain; and how far followers have come. */
export const auditPendingMigrations: readonly Migration[] = [
  {
    name: '0001-pending',
    up: [
      'CREATE TABLE audit_pending (event_id TEXT PRIMARY KEY, at BIGINT NOT NULL, body TEXT NOT NULL)',
      'CREATE TABLE audit_follower (name TEXT PRIMARY KEY, seq BIGINT NOT NULL)',
    ],
  },
]
