import { randomUUID } from 'node:crypto'
import { Buffer } from 'node:buffer'
import { signDocument, sm3Hex } from 'pki'
import type { Database, User } from 'service-kit'
import {
  MessageId,
  OpinionText,
  parseWith,
  Problem,
  type EpochMs,
  type HospitalId,
  type Opinion,
  type OpinionDraft,
  type TaskId,
} from 'specs'
import type { Region } from '../region/region.ts'
import type { CommandDesk } from './command-desk.ts'
import type { Consult } from './consult.ts'
import { findDraft } from './draft-store.ts'
import { findConsult, keepOpinion } from './store.ts'

/** Makes the Key Object Selection of an opinion (PS3.3 A.35.4); undefined when there is nothing to select. */
export type MakeKeyObject = (consult: Consult, text: Omit<OpinionText, 'keyObjectSm3'>) => Promise<Uint8Array | undefined>

export interface SignParts {
  readonly db: Database
  readonly region: Region
  readonly desk: CommandDesk
  readonly hospitalId: HospitalId
  readonly makeKeyObject: MakeKeyObject
  readonly now: () => EpochMs
}

/**
 * 签署. The text names its signer and is signed by the hospital's identity; it is sealed for the submitter alone. Kept
 * here unsettled until the hub has accepted the signature.
 *
 * @param draftRevision the saved draft that the writer had before their eyes, if any.
 * @throws {Problem} consult/unknown-task, consult/not-holder, consult/not-open, request/conflict, request/invalid, or the hub's refusal.
 */
export async function signOpinion(
  parts: SignParts,
  user: User,
  taskId: TaskId,
  draft: OpinionDraft,
  draftRevision: number | undefined,
): Promise<void> {
  const { db, region, desk, makeKeyObject, now } = parts
  const consult = await findConsult(db, taskId)
  if (!consult) throw new Problem('consult/unknown-task', { taskId })
  checkMaySign(parts, consult, user)
  checkKeyImages(consult, draft)
  const saved = await findDraft(db, taskId, user.id)
  if (draftRevision !== undefined && draftRevision !== saved.revision)
    throw new Problem('request/conflict', { revision: saved.revision, basedOn: draftRevision })

  const signer = desk.personOf(user)
  const opinionId = parseWith(MessageId, randomUUID(), 'opinionId')
  const { findings, opinion: words, advice, keyImages } = draft
  const unsigned = parseWith(
    OpinionText,
    { opinionId, taskId, findings, opinion: words, advice, keyImages, signer, signedAt: now() },
    'opinion',
  )
  const keyObject = await makeKeyObject(consult, unsigned)
  const text = keyObject ? { ...unsigned, keyObjectSm3: sm3Hex(keyObject) } : unsigned
  const opinion: Opinion = {
    kind: 'opinion',
    text,
    ...signDocument(region.identity, text),
    ...(keyObject && { keyObject: Buffer.from(keyObject).toString('base64') }),
  }
  const sealed = region.line.sealFor([consult.submitter], opinion)

  await desk.command(taskId, signer, async (current, tx) => {
    checkMaySign(parts, current, user)
    if (current.pending?.type !== 'sign') await keepOpinion(tx, taskId, opinion)
    return { next: current, content: { type: 'sign', sealed } }
  })
}

/** The hub decides in the end; what is certain already is said at once. */
function checkMaySign({ hospitalId }: SignParts, consult: Consult, user: User): void {
  const { holder, state } = consult
  if (state !== 'accepted' && state !== 'started') throw new Problem('consult/not-open', { state })
  if (holder?.hospitalId !== hospitalId || holder.userId !== user.id) throw new Problem('consult/not-holder', holder ? { by: holder } : {})
}

function checkKeyImages(consult: Consult, { keyImages }: OpinionDraft): void {
  const stranger = keyImages.find((image) => !consult.facts.studyInstanceUids.includes(image.studyInstanceUid))
  if (stranger) throw new Problem('request/invalid', { what: 'keyImages', studyInstanceUid: stranger.studyInstanceUid })
}
