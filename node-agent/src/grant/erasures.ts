import type { AuditTrail, Database, Log, Migration, Queries, Transaction } from 'service-kit'
import { HospitalId, isProblem, parseWith, services, SignedGrant, StudiesErased, type EpochMs, type StudyInstanceUid } from 'specs'
import type { Line } from '../region/line.ts'
import { endGrant } from './given-grants.ts'
import { pauseAfter, tellEach, Telling } from './telling.ts'

/** Nothing is promised within seconds here; with the line back, a hospital is asked at once. */
const LONGEST_PAUSE_MS = 300_000
/** Long enough to remove a large study; who needs longer answers the next time. */
const ANSWER_MS = 10_000
const AT_ONCE = 100

export const erasureMigrations: readonly Migration[] = [
  {
    name: '0001-erasure',
    up: [
      `CREATE TABLE study_erasure (study_instance_uid TEXT NOT NULL, holder TEXT NOT NULL, erased_at BIGINT NOT NULL, attempts INTEGER NOT NULL, next_at BIGINT NOT NULL,
        confirmed_at BIGINT, PRIMARY KEY (study_instance_uid, holder))`,
      'CREATE INDEX study_erasure_due ON study_erasure (confirmed_at, next_at)',
    ],
  },
]

export interface ErasureParts {
  readonly db: Database
  readonly log: Log
  readonly line: Line
  readonly audit: AuditTrail
  readonly hospitalId: HospitalId
  /** Removes what we hold of another hospital's study; nothing, when it is none of theirs. */
  readonly removeCopy: (owner: HospitalId, study: StudyInstanceUid) => Promise<void>
  readonly now: () => EpochMs
}

interface Owed {
  readonly study: StudyInstanceUid
  readonly holder: HospitalId
  readonly erasedAt: EpochMs
  readonly attempts: number
}

/**
 * What was destroyed here must not live on elsewhere (LOC-06, docs/adr/0013): every grant that names the study ends, and each hospital that one ever
 * named, the data centre among them, is told until it confirms that its copy is gone. A copy is removed before it is confirmed.
 */
export class Erasures {
  readonly #parts: ErasureParts
  readonly #telling: Telling

  constructor(parts: ErasureParts) {
    this.#parts = parts
    this.#telling = new Telling({ log: parts.log, now: parts.now, what: 'erasures', round: (atOnce) => this.#round(atOnce) })
    parts.line.serve(services.studyErased, async ({ from, body }) => {
      // Only the owner speaks of its studies: the sender is who the seal says, and only copies of the sender's are removed.
      const owner = parseWith(HospitalId, from, 'sender')
      const { studies } = parseWith(StudiesErased, body, services.studyErased)
      for (const { studyInstanceUid } of studies) await parts.removeCopy(owner, studyInstanceUid)
      return {}
    })
  }

  /** In the transaction of the destruction. @returns who is to be told. */
  async erase(tx: Transaction, study: StudyInstanceUid, because: string): Promise<readonly HospitalId[]> {
    const { hospitalId, now } = this.#parts
    const holders = new Set<HospitalId>()
    for (const { grant } of await grantsNaming(tx, study)) {
      for (const holder of grant.grantees) if (holder !== hospitalId) holders.add(holder)
      await endGrant(tx, grant.grantId, because, now())
    }
    for (const holder of holders)
      await tx.run('INSERT INTO study_erasure (study_instance_uid, holder, erased_at, attempts, next_at) VALUES ($1, $2, $3, 0, $3) ON CONFLICT DO NOTHING', [study, holder, now()])
    tx.afterCommit(() => this.tell())
    return [...holders]
  }

  /** Tells whoever has not confirmed. Called after a destruction, at the start and whenever the line is back. */
  tell(how?: { atOnce?: boolean }): void {
    this.#telling.tell(how)
  }

  async #round(atOnce: boolean): Promise<EpochMs | null> {
    const { db, now } = this.#parts
    if (atOnce) await db.run('UPDATE study_erasure SET next_at = $1 WHERE confirmed_at IS NULL', [now()])
    const owed = await db.all<Owed>(
      `SELECT study_instance_uid AS "study", holder, erased_at AS "erasedAt", attempts FROM study_erasure WHERE confirmed_at IS NULL AND next_at <= $1 ORDER BY next_at LIMIT 500`,
      [now()],
    )
    await tellEach(owed, ({ holder }) => holder, (holder, all) => this.#tellOne(holder, all.slice(0, AT_ONCE)))
    const next = await db.get<{ at: EpochMs | null }>('SELECT MIN(next_at) AS "at" FROM study_erasure WHERE confirmed_at IS NULL')
    return next?.at ?? null
  }

  async #tellOne(holder: HospitalId, owed: readonly Owed[]): Promise<void> {
    const { db, line, log, audit, hospitalId, now } = this.#parts
    const studies = owed.map(({ study, erasedAt }) => ({ studyInstanceUid: study, erasedAt }))
    try {
      await line.request(holder, services.studyErased, { studies }, { timeoutMs: ANSWER_MS })
    } catch (error) {
      if (!isProblem(error)) throw error
      log.warn({ holder, studies: studies.length, code: error.code }, 'a hospital has not removed copies of destroyed studies yet')
      for (const { study, attempts } of owed)
        await db.run('UPDATE study_erasure SET attempts = attempts + 1, next_at = $3 WHERE study_instance_uid = $1 AND holder = $2', [study, holder, now() + pauseAfter(attempts, LONGEST_PAUSE_MS)])
      return
    }
    for (const { study } of owed) {
      await db.write(async (tx) => {
        if ((await tx.run('UPDATE study_erasure SET confirmed_at = $3 WHERE study_instance_uid = $1 AND holder = $2 AND confirmed_at IS NULL', [study, holder, now()])) === 0) return
        await audit.within(tx, { action: 'study.delete', outcome: 'success', actor: { kind: 'hospital', id: holder, hospitalId: holder }, object: { type: 'study', id: study, owner: hospitalId }, basis: 'retention', facts: { source: `${holder}/regional`, confirmed: true } })
      })
    }
  }

  stop(): Promise<void> {
    return this.#telling.stop()
  }
}

/** Every grant that was ever given for the study, whatever has become of it. A UID has no character that LIKE would take for a wildcard. */
async function grantsNaming(db: Queries, study: StudyInstanceUid): Promise<SignedGrant[]> {
  const rows = await db.all<{ signed: string }>('SELECT signed FROM exam_grant WHERE signed LIKE $1', [`%"${study}"%`])
  return rows.map(({ signed }) => SignedGrant.parse(JSON.parse(signed))).filter(({ grant }) => grant.studyInstanceUids.includes(study))
}
