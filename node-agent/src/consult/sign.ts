import { randomUUID } from 'node:crypto'
import { Buffer } from 'node:buffer'
import { signDocument, sm3Hex } from 'pki'
import type { Database, Log, User } from 'service-kit'
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
import type { DocumentSigner, SigningPerson } from '../signing/signer.ts'
import { stampedSignature, timeStampOf } from '../signing/time-stamps.ts'
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
  readonly signer: DocumentSigner
  readonly log: Log
  readonly now: () => EpochMs
}

/**
 * 签署. The doctor's own key signs the text, the hospital signs beside, and the region says when, if it can be asked now; all is
 * sealed for the submitter alone. Kept here unsettled until the hub has accepted the signature.
 *
 * @param draftRevision the saved draft that the writer had before their eyes, if any.
 * @throws {Problem} signing/password-needed, signing/no-certificate, consult/unknown-task, consult/not-holder, consult/not-open, request/conflict, request/invalid, or the hub's refusal.
 */
export async function signOpinion(
  parts: SignParts,
  person: SigningPerson,
  taskId: TaskId,
  draft: OpinionDraft,
  draftRevision: number | undefined,
): Promise<void> {
  const { db, region, desk, makeKeyObject, now } = parts
  const { user } = person
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
  const author = await parts.signer.sign(person, text)
  const signed = { ...signDocument(region.identity, text), ...(author && { author }) }
  const timeStamp = await timeStampOf(region, parts.log, stampedSignature(signed))
  const opinion: Opinion = {
    kind: 'opinion',
    text,
    ...signed,
    ...(timeStamp !== undefined && { timeStamp }),
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
