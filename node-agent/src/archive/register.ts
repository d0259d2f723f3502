import { randomUUID } from 'node:crypto'
import type { Queries, SqlValue, Transaction } from 'service-kit'
import { Problem, type RegionId } from 'specs'
import type { LandedInstance } from './incoming.ts'
import {
  columnsOf,
  growth,
  insertClasses,
  insertPatients,
  patientKey,
  placeholders,
  studyColumns,
  upsertInstances,
  upsertSeries,
  upsertStudies,
  ownerOf,
  type HeldInstance,
  type RegisterSetup,
  type RowSetup,
} from './index-rows.ts'
import { ENCRYPTED, isEncryptedPath } from './encryption/file-form.ts'
import { rememberOriginal } from './original.ts'
import { noteReceivers } from './receiver.ts'
import { decideStore, type StoreOutcome } from './store-outcome.ts'

/** What became of a landed instance in the index, and what that means for its file. */
export type Registration =
  | { readonly kind: 'refused'; readonly problem: Problem }
  | {
      readonly kind: 'kept' | 'dropped'
      readonly outcome: StoreOutcome
      /** Final path below the root. */
      readonly path: string
      /** The file it takes the place of. */
      readonly previous?: { readonly path: string; readonly keptAs: string }
      /** Where the instance lay before, if elsewhere; nothing is there any more when the new file is in its place. */
      readonly leaves?: string
      /** The instance names another patient than its study does: kept as it is, for a person to look at. */
      readonly otherPatient?: boolean
    }

export interface Totals {
  readonly studies: number
  readonly instances: number
  readonly sizeBytes: number
}

export interface RegisteredBatch {
  /** In the order of the batch. */
  readonly registrations: readonly Registration[]
  readonly grown: Totals
}

/**
 * Registers landed instances, at most one per SOP Instance UID, in one transaction: the rows of all of them, or none.
 * Studies and series keep the attributes of the instance that came first (later ones fill what was empty); changed content
 * of an instance corrects them.
 */
export async function registerBatch(
  tx: Transaction,
  batch: readonly LandedInstance[],
  setup: RegisterSetup,
  now: number,
): Promise<RegisteredBatch> {
  const held = await heldInstances(tx, batch)
  const originals = await heldOriginals(tx, batch, held)
  const studies = await heldStudies(tx, batch)
  const before = new Map([...studies].map(([uid, { patient }]) => [uid, patient]))
  const regionId = setup.regionId()
  const results = batch.map((landed) => decide(landed, held.get(landed.values.sopInstanceUid ?? ''), originals, studies, setup, regionId))
  // A study begun in one region stays there when the node moves to another half way through it (FED-20).
  const regionOf = ({ values, source }: LandedInstance) =>
    source.regionId ?? studies.get(values.studyInstanceUid ?? '')?.regionId ?? regionId
  const rows: RowSetup = { ...setup, regionOf }
  const kept = batch.filter((_landed, index) => results[index]?.kind === 'kept')
  if (kept.length > 0) {
    // A study's row names the patient's, which stays as long as the study does.
    const newcomers = kept.filter((landed) => before.get(landed.values.studyInstanceUid ?? '') !== patientKey(ownerOf(setup, landed), landed.values))
    if (newcomers.length > 0) await insertPatients(tx, newcomers, rows, now)
    await upsertStudies(tx, kept, held, rows, now)
    await upsertSeries(tx, kept, held, rows, now)
    await insertClasses(tx, kept)
    await upsertInstances(
      tx,
      kept,
      results.flatMap((result) => (result.kind === 'kept' ? [result.path] : [])),
      rows,
      now,
    )
  }
  await traceReplacements(tx, batch, results, held, setup, now)
  await traceCoercions(tx, batch, results, now)
  await noteReceivers(tx, batch, results, now)
  for (const result of results)
    if (result.kind === 'kept' && result.leaves !== undefined)
      await tx.run('INSERT INTO archive_unlink (path) VALUES ($1) ON CONFLICT (path) DO NOTHING', [result.leaves])
  await countDuplicates(tx, batch, results, now)
  const grown = kept.map((landed) => growth(landed, held))
  return {
    registrations: results,
    grown: {
      studies: [...new Set(kept.map(({ values }) => values.studyInstanceUid ?? ''))].filter((uid) => !before.has(uid)).length,
      instances: grown.reduce((sum, { instances }) => sum + instances, 0),
      sizeBytes: grown.reduce((sum, { bytes }) => sum + bytes, 0),
    },
  }
}

function decide(
  landed: LandedInstance,
  held: HeldInstance | undefined,
  originals: ReadonlySet<string>,
  studies: Map<string, HeldStudy>,
  setup: RegisterSetup,
  regionId: RegionId,
): Registration {
  const { values } = landed
  const owner = ownerOf(setup, landed)
  const study = values.studyInstanceUid ?? ''
  const elsewhere = held !== undefined && (held.studyInstanceUid !== study || held.seriesInstanceUid !== values.seriesInstanceUid)
  // Overwriting would take an image away from another study, perhaps another patient's or another hospital's.
  if (elsewhere)
    return {
      kind: 'refused',
      problem: new Problem('archive/identity-conflict', {
        what: 'SOPInstanceUID',
        uid: values.sopInstanceUid,
        heldIn: held.studyInstanceUid,
      }),
    }
  const known = studies.get(study)
  if (known !== undefined && known.owner !== owner)
    return {
      kind: 'refused',
      problem: new Problem('archive/identity-conflict', { what: 'StudyInstanceUID', uid: study, heldFor: known.owner }),
    }
  const patient = patientKey(owner, values)
  if (!known) studies.set(study, { owner, patient, regionId: landed.source.regionId ?? regionId })
  // This very file, registered before something else went wrong: only its place is missing.
  if (held?.fileId === landed.fileId) return { kind: 'kept', outcome: { kind: 'stored' }, path: held.path }
  // What we rewrote comes again as its sender knows it: nothing new (ARC-12).
  const isOriginal = originals.has(originalKey(values.sopInstanceUid ?? '', landed.coerced?.originalSm3 ?? landed.sm3))
  const outcome = decideStore(held?.missing === 0 ? held.sm3 : undefined, isOriginal && held ? held.sm3 : landed.sm3)
  const path = setup.pathOf(values, owner, landed.source)
  const moves = held !== undefined && held.path !== path ? { leaves: held.path } : {}
  if (outcome.kind === 'duplicate') return { kind: 'dropped', outcome, path: held?.path ?? path }
  // Of what another archive or we ourselves promised, the newer content counts.
  const isOutside = landed.source.kind !== 'transfer' && landed.source.kind !== 'own'
  if (outcome.kind === 'replaced' && isOutside && setup.changedContent?.(landed.source, values.modality ?? '') === 'refuse')
    return { kind: 'refused', problem: new Problem('archive/changed-content', { what: 'SOPInstanceUID', uid: values.sopInstanceUid, studyInstanceUid: study }) }
  if (outcome.kind === 'replaced' && held)
    return { kind: 'kept', outcome, path, ...moves, previous: { path: held.path, keptAs: `replaced/${held.fileId}.dcm${isEncryptedPath(held.path) ? ENCRYPTED : ''}` } }
  return { kind: 'kept', outcome, path, ...moves, otherPatient: known !== undefined && known.patient !== patient }
}

const originalKey = (sopInstanceUid: string, sm3: string): string => `${sopInstanceUid}/${sm3}`

/** Digests under which senders know instances that we keep in another form; looked for only where the content differs. */
async function heldOriginals(tx: Queries, batch: readonly LandedInstance[], held: ReadonlyMap<string, HeldInstance>): Promise<Set<string>> {
  const uids = batch.flatMap(({ values: { sopInstanceUid = '' }, sm3 }) => {
    const known = held.get(sopInstanceUid)
    return known !== undefined && known.sm3 !== sm3 ? [sopInstanceUid] : []
  })
  if (uids.length === 0) return new Set()
  const rows = await tx.all<{ uid: string; sm3: string }>(`SELECT sop_instance_uid AS "uid", sm3 FROM archive_original WHERE sop_instance_uid IN (${placeholders(uids.length)})`, uids)
  return new Set(rows.map(({ uid, sm3 }) => originalKey(uid, sm3)))
}

/** What was changed on the way in stays in the trace, in the transaction that makes it ours. */
async function traceCoercions(tx: Queries, batch: readonly LandedInstance[], results: readonly Registration[], now: number): Promise<void> {
  for (const [index, { values, coerced, source }] of batch.entries()) {
    if (!coerced || results[index]?.kind !== 'kept') continue
    const [sopInstanceUid, studyInstanceUid] = [values.sopInstanceUid ?? '', values.studyInstanceUid ?? '']
    await tx.run(
      `INSERT INTO archive_coercion (coercion_id, sop_instance_uid, study_instance_uid, coerced_at, coerced_by, changes, original_sm3, source_peer) VALUES (${placeholders(8)})`,
      [randomUUID(), sopInstanceUid, studyInstanceUid, now, coerced.by, JSON.stringify(coerced.changes), coerced.originalSm3, source.peer],
    )
    await rememberOriginal(tx, sopInstanceUid, studyInstanceUid, coerced.originalSm3)
  }
}

async function heldInstances(tx: Queries, batch: readonly LandedInstance[]): Promise<Map<string, HeldInstance>> {
  const uids = batch.map(({ values }) => values.sopInstanceUid ?? '')
  const rows = await tx.all<HeldInstance>(
    `SELECT sop_instance_uid AS "sopInstanceUid", study_instance_uid AS "studyInstanceUid", series_instance_uid AS "seriesInstanceUid",
       sm3, size_bytes AS "sizeBytes", path, file_id AS "fileId", missing FROM archive_instance WHERE sop_instance_uid IN (${placeholders(uids.length)})`,
    uids,
  )
  return new Map(rows.map((row) => [row.sopInstanceUid, row]))
}

interface HeldStudy {
  readonly owner: string
  readonly patient: string
  readonly regionId: RegionId
}

async function heldStudies(tx: Queries, batch: readonly LandedInstance[]): Promise<Map<string, HeldStudy>> {
  const uids = [...new Set(batch.map(({ values }) => values.studyInstanceUid ?? ''))]
  const rows = await tx.all<HeldStudy & { uid: string }>(
    `SELECT study_instance_uid AS "uid", hospital_id AS "owner", patient_key AS "patient", region_id AS "regionId" FROM archive_study
     WHERE study_instance_uid IN (${placeholders(uids.length)})`,
    uids,
  )
  return new Map(rows.map((row) => [row.uid, row]))
}

async function traceReplacements(
  tx: Queries,
  batch: readonly LandedInstance[],
  results: readonly Registration[],
  held: Map<string, HeldInstance>,
  setup: RegisterSetup,
  now: number,
): Promise<void> {
  for (const [index, landed] of batch.entries()) {
    const result = results[index]
    const before = held.get(landed.values.sopInstanceUid ?? '')
    if (result?.kind !== 'kept' || !result.previous || !before) continue
    const { values, source } = landed
    await tx.run(
      `INSERT INTO archive_replacement (replacement_id, sop_instance_uid, study_instance_uid, previous_sm3, previous_size_bytes, new_sm3, kept_as, replaced_at, source_kind, source_peer, previous_path)
       VALUES (${placeholders(11)})`,
      [
        randomUUID(),
        before.sopInstanceUid,
        before.studyInstanceUid,
        before.sm3,
        before.sizeBytes,
        landed.sm3,
        result.previous.keptAs,
        now,
        source.kind,
        source.peer,
        before.path,
      ],
    )
    // The digests we knew it by were those of other content.
    await tx.run('DELETE FROM archive_original WHERE sop_instance_uid = $1', [before.sopInstanceUid])
    await correct(tx, 'archive_study', studyColumns(landed, setup), { study_instance_uid: values.studyInstanceUid ?? '' })
    await correct(tx, 'archive_series', columnsOf('series', values), {
      study_instance_uid: values.studyInstanceUid ?? '',
      series_instance_uid: values.seriesInstanceUid ?? '',
    })
  }
}

async function correct(tx: Queries, table: string, columns: Record<string, SqlValue>, key: Record<string, string>): Promise<void> {
  const changed = Object.entries(columns).filter(([column]) => !Object.hasOwn(key, column))
  const set = changed.map(([column], index) => `${column} = $${index + 1}`).join(', ')
  const where = Object.keys(key)
    .map((column, index) => `${column} = $${changed.length + index + 1}`)
    .join(' AND ')
  await tx.run(`UPDATE ${table} SET ${set} WHERE ${where}`, [...changed.map(([, value]) => value), ...Object.values(key)])
}

async function countDuplicates(
  tx: Queries,
  batch: readonly LandedInstance[],
  results: readonly Registration[],
  now: number,
): Promise<void> {
  const counts = new Map<string, number>()
  for (const [index, { values }] of batch.entries()) {
    if (results[index]?.kind !== 'dropped') continue
    const uid = values.studyInstanceUid ?? ''
    counts.set(uid, (counts.get(uid) ?? 0) + 1)
  }
  for (const [uid, count] of counts)
    await tx.run('UPDATE archive_study SET duplicate_count = duplicate_count + $1, updated_at = $2 WHERE study_instance_uid = $3', [
      count,
      now,
      uid,
    ])
}
