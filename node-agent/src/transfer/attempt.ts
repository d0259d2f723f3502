import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Database, Log } from 'service-kit'
import { Problem, services, type HospitalId, type Manifest, type ManifestRow } from 'specs'
import type { Archive } from '../archive/archive.ts'
import type { FileEncryption } from '../archive/encryption/file-encryption.ts'
import type { Assert, AssertedCall } from '../assertion/assert.ts'
import type { NodeConfig } from '../config.ts'
import type { Line } from '../region/line.ts'
import type { PieceCoder } from './cipher-thread.ts'
import { sourceOf, type TransferJob } from './job.ts'
import { PartialFiles } from './partial-files.ts'
import { PieceQueue } from './piece-queue.ts'
import { Progress, type ProgressParts } from './progress.ts'
import { SourceSession } from './source-session.ts'
import { keepManifest } from './store.ts'
import { StudyRun } from './study-run.ts'

export interface AttemptParts extends ProgressParts {
  readonly db: Database
  readonly log: Log
  readonly line: Line
  readonly coder: PieceCoder
  readonly archive: Archive
  readonly folder: string
  /** See TransferEngineParts. */
  readonly encryption?: FileEncryption
  readonly settings: NodeConfig['transfer']
  /** Missing in tests only: whoever asked is then not named. */
  readonly assert?: Assert
}

export interface AttemptWatcher {
  /** The source has answered; instances may be urged from now on. */
  onOpened(session: SourceSession, run: StudyRun): void
  onHeld(row: ManifestRow): void
  /** Given up after several wrong contents; the others go on. */
  onFailed(row: ManifestRow, problem: Problem): void
}

/** Unfinished instances of one transfer. */
export const partialsOf = ({ folder, encryption }: Pick<AttemptParts, 'folder' | 'encryption'>, job: Pick<TransferJob, 'transferId'>): PartialFiles =>
  new PartialFiles(join(folder, job.transferId), encryption)

/**
 * One attempt at a transfer: ask the source what the study consists of, compare with what is here, fetch the rest.
 *
 * @returns the totals when every instance is in the archive.
 * @throws {Problem} what the source refuses with, region/… for an outage, transfer/digest-mismatch when instances stayed wrong,
 *   archive/out-of-space; the reason of `signal`.
 */
export async function attemptTransfer(
  parts: AttemptParts,
  job: TransferJob,
  signal: AbortSignal,
  watcher: AttemptWatcher,
): Promise<{ instances: number; sizeBytes: number }> {
  const { db, log, line, coder, archive, settings, folder, assert } = parts
  const source = sourceOf(job)
  const { studyInstanceUid, grant, purpose, owner, regionId } = job
  const session = await SourceSession.open({
    coder,
    line,
    source,
    study: studyInstanceUid,
    grant,
    purpose,
    timeoutMs: settings.pieceTimeoutMs,
    assertion: job.requester ? assert?.(job.requester.person, callOf(job, source)) : undefined,
  })
  const { rows } = session.manifest
  await keepManifest(db, job.transferId, session.manifest)
  const partials = partialsOf(parts, job)
  const { pieceBytes, piecesInFlight } = settings
  const queue = new PieceQueue(rows, { pieceBytes, held: await heldOf(archive, session.manifest), partial: await partials.found(rows) })
  await checkSpace(folder, queue)
  const progress = new Progress(parts, job, queue)
  let lastProblem: Problem | undefined
  const run = new StudyRun({
    session, queue, partials, archive, owner, regionId, studyInstanceUid, piecesInFlight, pieceBytes, signal,
    onHeld: (row) => {
      watcher.onHeld(row)
      progress.note()
    },
    onFailed: (row, problem) => {
      lastProblem = problem
      log.warn({ studyInstanceUid, sopInstanceUid: row.sopInstanceUid, source, code: problem.code }, 'instance given up')
      watcher.onFailed(row, problem)
    },
  }) // prettier-ignore
  watcher.onOpened(session, run)
  progress.note()
  try {
    await run.run()
  } finally {
    await progress.finish()
  }
  const { failed, total, totalBytes } = queue.counts()
  if (lastProblem) throw new Problem('transfer/digest-mismatch', { instances: failed, because: lastProblem.code })
  await partials.removeAll()
  return { instances: total, sizeBytes: totalBytes }
}

function callOf({ grant: { grant }, requester, studyInstanceUid }: TransferJob, audience: HospitalId): AssertedCall {
  const { purpose, taskId } = grant
  return { audience, service: services.transferOpen, purpose, reason: requester?.reason, studyInstanceUid, taskId }
}

/** Instances that are here already with exactly the promised content. */
async function heldOf(archive: Archive, { rows, studyInstanceUid }: Manifest): Promise<Set<string>> {
  const wanted = new Map<string, string>(rows.map((row) => [row.sopInstanceUid, row.sm3]))
  const kept = (await archive.study(studyInstanceUid)) ? await archive.instances(studyInstanceUid) : []
  return new Set(kept.filter((row) => wanted.get(row.sopInstanceUid) === row.sm3).map((row) => row.sopInstanceUid))
}

/** Better refused before the first byte than after the last that fits. */
async function checkSpace(folder: string, queue: PieceQueue): Promise<void> {
  const { heldBytes, totalBytes } = queue.counts()
  const { bavail, bsize } = await statfs(folder)
  const neededBytes = totalBytes - heldBytes
  if (bavail * bsize < neededBytes) throw new Problem('archive/out-of-space', { neededBytes, freeBytes: bavail * bsize })
}
