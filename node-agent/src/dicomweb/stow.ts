import type { Request, Response } from 'express'
import { isProblem, Problem } from 'specs'
import type { IncomingInstance, IncomingSource, Receipt, ToldInstance } from '../archive/archive.ts'
import type { JsonDataset } from '../dicom/dicom-json.ts'
import { mediaParameter, MultipartReader, type PartHandler } from './multipart-reader.ts'
import type { Storing } from './study-source.ts'

/** PS3.18 Table 10.5.3-1 and PS3.4 B.2.3: failure reasons of single instances. */
const failureReasons: Readonly<Record<string, number>> = {
  'archive/out-of-space': 0xa700,
  'archive/uid-mismatch': 0xa900,
  'archive/identity-conflict': 0xa900,
  'archive/unreadable': 0xc000,
  'archive/bad-uid': 0xc000,
  'request/unsupported-media': 0xc000,
  'access/forbidden': 0x0124,
  'access/out-of-scope': 0x0124,
  'access/rule-denied': 0x0124,
  'access/not-cleared': 0x0124,
}
const processingFailure = 0x0110

export type StowResult =
  { readonly receipt: Receipt } | { readonly problem: Problem; readonly sopClassUid?: string; readonly sopInstanceUid?: string }

/** More parts than this in one request is not an upload of a person or a device. */
const maxParts = 20_000

/**
 * STOW-RS (PS3.18 10.5): each part is an instance of its own, stored while it arrives; the answer names every one of them.
 *
 * @param studyInstanceUid when the request names a study, instances of others are refused.
 * @returns what became of each instance, in their order; the answer has been sent.
 */
export async function storeInstances(
  storing: Storing,
  source: IncomingSource,
  request: Request,
  response: Response,
  studyInstanceUid?: string,
): Promise<readonly StowResult[]> {
  const results = await readInstances(storing, source, request, studyInstanceUid)
  if (results.length === 0) throw new Problem('request/invalid', { what: 'body', issues: [{ path: '', message: 'holds no instance' }] })
  const stored = results.filter((result) => 'receipt' in result).length
  const outOfSpace = stored === 0 && results.every((result) => 'problem' in result && result.problem.code === 'archive/out-of-space')
  const status = stored === results.length ? 200 : stored > 0 ? 202 : outOfSpace ? 507 : 409
  response
    .status(status)
    .type('application/dicom+json')
    .send(JSON.stringify(stowAnswer(results, studyInstanceUid)))
  return results
}

async function readInstances(
  storing: Storing,
  source: IncomingSource,
  request: Request,
  studyInstanceUid: string | undefined,
): Promise<StowResult[]> {
  const contentType = request.get('content-type') ?? ''
  const media = contentType.split(';')[0]?.trim().toLowerCase()
  const results: StowResult[] = []
  if (media === 'application/dicom') {
    const part = await instancePart(storing, source, studyInstanceUid, results)
    for await (const chunk of request) await part.write(chunk as Buffer)
    await part.end()
    return results
  }
  const type = mediaParameter(contentType, 'type')?.toLowerCase()
  const boundary = mediaParameter(contentType, 'boundary')
  if (media !== 'multipart/related' || boundary === undefined || (type !== undefined && type !== 'application/dicom')) {
    throw new Problem('request/unsupported-media', { offered: ['multipart/related; type="application/dicom"', 'application/dicom'] })
  }
  const open = new Set<PartHandler & { abort(): Promise<void> }>()
  const reader = new MultipartReader(boundary, async (headers) => {
    if (results.length >= maxParts) throw new Problem('request/too-large', { limitParts: maxParts })
    const partType = headers['content-type']?.split(';')[0]?.trim().toLowerCase() ?? 'application/dicom'
    if (partType !== 'application/dicom')
      return refusedPart(results, new Problem('request/unsupported-media', { contentType: partType.slice(0, 100) }))
    const part = await instancePart(storing, source, studyInstanceUid, results)
    open.clear()
    open.add(part)
    return part
  })
  try {
    for await (const chunk of request) await reader.push(chunk as Uint8Array)
    await reader.end()
    return results
  } catch (error) {
    for (const part of open) await part.abort()
    throw error
  }
}

function refusedPart(results: StowResult[], problem: Problem): PartHandler {
  return {
    write: async () => undefined,
    end: async () => void results.push({ problem }),
  }
}

/** Feeds one part into the archive; a refusal is noted and the rest of the part is passed over. */
async function instancePart(
  storing: Storing,
  source: IncomingSource,
  studyInstanceUid: string | undefined,
  results: StowResult[],
): Promise<PartHandler & { abort(): Promise<void> }> {
  let incoming: IncomingInstance | undefined
  let refused: Problem | undefined
  const attempt = async (work: () => Promise<void>) => {
    if (refused) return
    try {
      await work()
    } catch (error) {
      if (!isProblem(error)) throw error
      refused = error
    }
  }
  await attempt(async () => {
    incoming = await storing.archive.receive(source, { part10: true })
  })
  return {
    write: (chunk) => attempt(async () => incoming?.write(chunk)),
    async end() {
      await attempt(async () => {
        if (incoming) results.push({ receipt: await incoming.commit(studyInstanceUid === undefined ? {} : { studyInstanceUid }, (told) => admitted(storing, told)) })
      })
      if (refused) results.push({ problem: refused })
    },
    async abort() {
      await incoming?.abort()
    },
  }
}

/** The answer names the instance that was not admitted. */
async function admitted(storing: Storing, { studyInstanceUid, sopClassUid, sopInstanceUid }: ToldInstance): Promise<void> {
  try {
    await storing.admit(studyInstanceUid)
  } catch (error) {
    throw isProblem(error) ? new Problem(error.code, { ...error.facts, sopClassUid, sopInstanceUid }, { cause: error }) : error
  }
}

const sequence = (items: JsonDataset[]): JsonDataset[string] => ({ vr: 'SQ', Value: items })

/** PS3.18 Table 10.5.3-1: what was stored where, and what was not and why. */
function stowAnswer(results: readonly StowResult[], studyInstanceUid: string | undefined): JsonDataset {
  const stored: JsonDataset[] = []
  const failed: JsonDataset[] = []
  const other: JsonDataset[] = []
  for (const result of results) {
    if ('receipt' in result) {
      const { receipt } = result
      const url = `/dicom-web/studies/${receipt.studyInstanceUid}/series/${receipt.seriesInstanceUid}/instances/${receipt.sopInstanceUid}`
      stored.push({ '00081150': ui(receipt.sopClassUid), '00081155': ui(receipt.sopInstanceUid), '00081190': { vr: 'UR', Value: [url] } })
    } else {
      const reason: JsonDataset = { '00081197': { vr: 'US', Value: [failureReasons[result.problem.code] ?? processingFailure] } }
      const { sopClassUid, sopInstanceUid } = identity(result.problem)
      if (sopInstanceUid === undefined) other.push(reason)
      else failed.push({ ...(sopClassUid !== undefined && { '00081150': ui(sopClassUid) }), '00081155': ui(sopInstanceUid), ...reason })
    }
  }
  const study = studyInstanceUid ?? studyOf(results)
  return {
    ...(study !== undefined && stored.length > 0 && { '00081190': { vr: 'UR', Value: [`/dicom-web/studies/${study}`] } }),
    ...(stored.length > 0 && { '00081199': sequence(stored) }),
    ...(failed.length > 0 && { '00081198': sequence(failed) }),
    // Instances that could not be identified (Other Failures Sequence).
    ...(other.length > 0 && { '0008119A': sequence(other) }),
  }
}

const ui = (uid: string): JsonDataset[string] => ({ vr: 'UI', Value: [uid] })

function identity({ facts }: Problem): { sopClassUid?: string; sopInstanceUid?: string } {
  const own = (name: string) => (typeof facts[name] === 'string' ? { [name]: facts[name] } : {})
  return { ...own('sopClassUid'), ...own('sopInstanceUid') }
}

function studyOf(results: readonly StowResult[]): string | undefined {
  const uids = new Set(results.flatMap((result) => ('receipt' in result ? [result.receipt.studyInstanceUid as string] : [])))
  const [only] = uids
  return uids.size === 1 ? only : undefined
}
