import { z } from 'zod'
import { EpochMs } from '../identifiers.ts'
import { RetrieveMethod } from './routing.ts'
import { TimeWindows } from './time-window.ts'

/** What is asked for at the source. */
export const AcquisitionSelection = z.object({
  /** None: all. */
  modalities: z.array(z.string().trim().min(1).max(16)).max(30).default([]),
  /** Days relative to the day of the run, or fixed ones (ISO, inclusive). */
  dates: z
    .discriminatedUnion('kind', [
      z.object({ kind: z.literal('today') }),
      z.object({ kind: z.literal('yesterday') }),
      z.object({ kind: z.literal('last-days'), days: z.number().int().min(1).max(3_650) }),
      z.object({ kind: z.literal('between'), from: z.iso.date(), to: z.iso.date() }),
      z.object({ kind: z.literal('any') }),
    ])
    .default({ kind: 'yesterday' }),
  /** Station Name (0008,1010), asked per series; '' any. */
  stationName: z.string().trim().max(16).default(''),
  patientId: z.string().trim().max(64).default(''),
  accessionNumber: z.string().trim().max(16).default(''),
})
export type AcquisitionSelection = z.infer<typeof AcquisitionSelection>

export const AcquisitionSchedule = z.discriminatedUnion('kind', [
  /** Only when a person says so. */
  z.object({ kind: z.literal('manual') }),
  z.object({ kind: z.literal('every'), minutes: z.number().int().min(1).max(10_080) }),
  z.object({ kind: z.literal('cron'), expression: z.string().trim().min(9).max(100) }),
])
export type AcquisitionSchedule = z.infer<typeof AcquisitionSchedule>

export const AcquisitionJobInput = z.object({
  name: z.string().trim().min(1).max(60),
  enabled: z.boolean().default(true),
  sourceNodeId: z.string().max(64),
  /** PS3.4 C.6: which hierarchy the source speaks. */
  root: z.enum(['study', 'patient']).default('study'),
  /** C-MOVE to our own AE title, or C-GET on the association that we opened. */
  method: RetrieveMethod.default('move'),
  selection: AcquisitionSelection.prefault({}),
  schedule: AcquisitionSchedule.default({ kind: 'manual' }),
  /** Outside of these nothing is asked or fetched; a run goes on when the next opens. */
  windows: TimeWindows,
  maxStudies: z.number().int().min(1).max(100_000).default(500),
  pauseSeconds: z.number().int().min(0).max(3_600).default(0),
  parallel: z.number().int().min(1).max(8).default(1),
  /** How often what is missing is asked for once more. */
  retries: z.number().int().min(0).max(20).default(3),
})
export type AcquisitionJobInput = z.infer<typeof AcquisitionJobInput>

export const AcquisitionRunState = z.enum(['asking', 'fetching', 'waiting', 'complete', 'partial', 'failed', 'cancelled'])
export type AcquisitionRunState = z.infer<typeof AcquisitionRunState>
const Told = z.object({ code: z.string(), title: z.string() }).nullable()

export const AcquisitionRun = z.object({
  id: z.string(),
  jobId: z.string().nullable(),
  jobName: z.string(),
  aeTitle: z.string(),
  trigger: z.enum(['schedule', 'person', 'prefetch']),
  /** `waiting`: for a time window, or for the source to come back. */
  state: AcquisitionRunState,
  startedAt: EpochMs,
  endedAt: EpochMs.nullable(),
  nextAt: EpochMs.nullable(),
  studies: z.number().int(),
  complete: z.number().int(),
  partial: z.number().int(),
  failed: z.number().int(),
  instancesFetched: z.number().int(),
  /** Held before anything was asked for. */
  instancesHeld: z.number().int(),
  /** More was found than `maxStudies`. */
  truncated: z.boolean(),
  problem: Told,
})
export type AcquisitionRun = z.infer<typeof AcquisitionRun>

export const AcquisitionJob = AcquisitionJobInput.extend({ id: z.string(), aeTitle: z.string(), nextRunAt: EpochMs.nullable(), lastRun: AcquisitionRun.nullable() })
export type AcquisitionJob = z.infer<typeof AcquisitionJob>

export const AcquiredStudy = z.object({
  runId: z.string(),
  /** Null for whoever may not have the study on a list. */
  studyInstanceUid: z.string().nullable(),
  studyDate: z.string(),
  modalities: z.string(),
  state: z.enum(['waiting', 'fetching', 'complete', 'partial', 'failed', 'cancelled']),
  /** How the source proved what there is: each instance, or only their number. */
  proof: z.enum(['instances', 'count', 'none']),
  expected: z.number().int(),
  heldBefore: z.number().int(),
  held: z.number().int(),
  attempts: z.number().int(),
  /** The first hundred. */
  missing: z.array(z.string()),
  problem: Told,
  updatedAt: EpochMs,
})
export type AcquiredStudy = z.infer<typeof AcquiredStudy>

/** What became of one file of an import. `skipped`: no DICOM, told and passed over. */
export const ImportFileOutcome = z.enum(['stored', 'duplicate', 'replaced', 'skipped', 'failed'])
export type ImportFileOutcome = z.infer<typeof ImportFileOutcome>

export const ImportRow = z.object({
  id: z.string(),
  name: z.string(),
  origin: z.enum(['upload', 'folder']),
  state: z.enum(['open', 'reading', 'done', 'cancelled', 'failed']),
  startedAt: EpochMs,
  endedAt: EpochMs.nullable(),
  startedBy: z.string(),
  /** Announced by the page, or counted in the table of contents of a ZIP. */
  filesExpected: z.number().int(),
  files: z.number().int(),
  stored: z.number().int(),
  duplicates: z.number().int(),
  replaced: z.number().int(),
  skipped: z.number().int(),
  failed: z.number().int(),
  bytes: z.number(),
  studies: z.number().int(),
  /** Of a DICOMDIR: how many instances it lists, and which of them did not come. */
  listed: z.number().int().nullable(),
  missing: z.array(z.string()),
  problem: Told,
})
export type ImportRow = z.infer<typeof ImportRow>

export const ImportFile = z.object({
  name: z.string(),
  outcome: ImportFileOutcome,
  sizeBytes: z.number(),
  studyInstanceUid: z.string().nullable(),
  sopInstanceUid: z.string().nullable(),
  problem: Told,
})
export type ImportFile = z.infer<typeof ImportFile>
