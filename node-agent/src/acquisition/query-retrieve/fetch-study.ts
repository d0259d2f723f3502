import { isProblem, Problem } from 'specs'
import type { Archive } from '../../archive/archive.ts'
import { lackOf, wantsOf, type Lack, type Proof } from './completeness.ts'
import type { Source } from './source.ts'

export interface StudyToFetch {
  readonly studyInstanceUid: string
  readonly patientId: string
  /** Number of Study Related Instances as the source told it. */
  readonly toldInstances: number | null
}

export interface FetchedStudy {
  readonly outcome: 'complete' | 'partial' | 'failed'
  readonly proof: Proof['kind']
  readonly lack: Lack
  readonly heldBefore: number
  readonly attempts: number
  readonly problem: Problem | null
}

export interface FetchOptions {
  readonly retries: number
  readonly signal: AbortSignal
  /** Before the first retrieval, and after each. */
  onProgress?(lack: Lack, heldBefore: number, attempts: number): Promise<void>
}

/**
 * Brings one study over and proves that it is whole (ARC-04): what the source lists is compared with what our archive holds, and only
 * what is missing is asked for, again and again until nothing is missing or nothing helps.
 *
 * @throws {Problem} when the source cannot be asked at all: the run waits for it.
 */
export async function fetchStudy(source: Source, archive: Pick<Archive, 'manifest'>, study: StudyToFetch, { retries, signal, onProgress }: FetchOptions): Promise<FetchedStudy> {
  const proof = await source.prove(study, study.toldInstances)
  let held = await heldOf(archive, study.studyInstanceUid)
  const heldBefore = lackOf(proof, held).held
  let lack = lackOf(proof, held)
  let problem: Problem | null = null
  let attempts = 0
  await onProgress?.(lack, heldBefore, attempts)
  while (!lack.isComplete && attempts <= retries && !signal.aborted) {
    attempts += 1
    problem = null
    let allSaidDone = true
    for (const want of wantsOf(proof, held)) {
      try {
        const { status } = await source.retrieve(study, want, classesOf(proof))
        allSaidDone &&= status === 0
      } catch (error) {
        if (!isProblem(error) || isOfTheLine(error)) throw error
        problem = error
        allSaidDone = false
      }
    }
    held = await heldOf(archive, study.studyInstanceUid)
    lack = lackOf(proof, held)
    // Without any list the word of the source is all there is.
    if (proof.kind === 'none' && allSaidDone && held.size > 0) lack = { expected: held.size, held: held.size, missing: [], isComplete: true }
    await onProgress?.(lack, heldBefore, attempts)
  }
  if (lack.isComplete) return { outcome: 'complete', proof: proof.kind, lack, heldBefore, attempts, problem: null }
  const reason = problem ?? new Problem('acquisition/incomplete', { missing: lack.expected - lack.held })
  return { outcome: lack.held > 0 ? 'partial' : 'failed', proof: proof.kind, lack, heldBefore, attempts, problem: reason }
}

/** Not this study's fault: the source is away, or does not let us in. */
export const isOfTheLine = ({ code }: Problem): boolean =>
  ['dimse/unreachable', 'dimse/rejected', 'dimse/timeout', 'dimse/lost', 'dimse/aborted', 'dimse/protocol', 'dimse/cancelled', 'outbound/refused'].includes(code)

async function heldOf(archive: Pick<Archive, 'manifest'>, studyInstanceUid: string): Promise<ReadonlySet<string>> {
  try {
    return new Set((await archive.manifest(studyInstanceUid as Parameters<Archive['manifest']>[0])).map(({ sopInstanceUid }) => sopInstanceUid))
  } catch (error) {
    if (isProblem(error) && error.code === 'archive/unknown-study') return new Set()
    throw error
  }
}

/** C-GET names beforehand which classes may come; an empty list means the usual ones. */
function classesOf(proof: Proof): string[] {
  if (proof.kind !== 'instances') return []
  const classes = [...new Set([...proof.series.values()].flat().map(({ sopClassUid }) => sopClassUid))]
  return classes.includes('') ? [] : classes
}
