import type { Database } from 'service-kit'
import { StudyInstanceUid, WorklistDraft, type HospitalId } from 'specs'
import type { AccessControl } from '../access/access-control.ts'
import { anElement, itemsAt, readDataSet, SPECIFIC_CHARACTER_SET, textAt, writeDataSet, type DataItem } from '../dicom/data-set.ts'
import { commandFields } from '../dimse/command-set.ts'
import { type MessageService, type Reply, type SmallRequest, status } from '../dimse/services.ts'
import { parsePredicate } from '../archive/predicate.ts'
import { factsOfItem } from './facts.ts'
import { dataSetOf, openStates, type WorklistItem } from './item.ts'
import { answerTo, keysOf, matches } from './match.ts'
import { listItems, type WorklistFilter } from './store.ts'
import type { WorklistDevice } from './device.ts'

export interface WorklistServiceParts {
  readonly db: Database
  readonly access: AccessControl
  readonly hospitalId: HospitalId
  readonly deviceOf: (aeTitle: string) => Promise<WorklistDevice | undefined>
  /** Answers to one query. */
  readonly maxMatches: () => number
  readonly now?: () => number
}

/** What was due longer ago is told only to who asks for its day: steps that nobody has ended must not fill a device's list for ever. */
const OVERDUE_DAYS = 7
const PAGE_ROWS = 200

/** Modality Worklist as SCP (PS3.4 K): what a device may expect, from the table that registration fills. */
export function worklistService(parts: WorklistServiceParts): MessageService {
  return { kind: 'worklist', commands: [commandFields.cFind], answer: (request, signal) => find(parts, request, signal) }
}

async function* find({ db, access, hospitalId, deviceOf, maxMatches, now = Date.now }: WorklistServiceParts, request: SmallRequest, signal: AbortSignal): AsyncGenerator<Reply> {
  const { caller, transferSyntaxUid, charset } = request
  if (!request.dataset) return yield { answer: { status: status.identifierMismatch, errorComment: 'no identifier' } }
  const device = await deviceOf(caller.callingAeTitle)
  await access.admitDicomNode(caller.callingAeTitle, device?.rights, 'register', { owner: hospitalId, kept: 'in-hospital' })
  const asked = readDataSet(request.dataset, transferSyntaxUid).filter(({ tag }) => tag !== SPECIFIC_CHARACTER_SET)
  const mayKnow = (item: WorklistItem) => device !== undefined && access.mayDevice(caller.callingAeTitle, device.rights, 'register', factsOfItem(item, hospitalId))
  const { keys, unsupported } = keysOf(asked, everyElement)
  const pending = unsupported ? status.pendingOptionalKeysUnsupported : status.pending
  const limit = maxMatches()
  let told = 0
  for await (const item of itemsOf(db, { ...narrowed(asked, now()), station: device?.ownWorklist ? caller.callingAeTitle : undefined })) {
    if (signal.aborted) return yield { answer: { status: status.cancelled } }
    const whole = dataSetOf(item)
    if (!mayKnow(item) || !matches(whole, keys)) continue
    if (told === limit) return yield { answer: { status: status.outOfResources, errorComment: `more than ${limit} items, narrow the query` } }
    const answer = [anElement('SpecificCharacterSet', charset), ...answerTo(asked, whole)]
    yield { answer: { status: pending }, dataset: writeDataSet(answer, transferSyntaxUid, charset) }
    told++
  }
  yield { answer: { status: signal.aborted ? status.cancelled : status.success } }
}

async function* itemsOf(db: Database, filter: Omit<WorklistFilter, 'limit' | 'after' | 'states'>): AsyncGenerator<WorklistItem> {
  let after: WorklistFilter['after']
  for (;;) {
    const rows = await listItems(db, { ...filter, states: openStates, limit: PAGE_ROWS, after })
    yield* rows
    after = rows.at(-1)
    if (rows.length < PAGE_ROWS || !after) return
  }
}

/** As much of the keys as columns can be narrowed by; what passes is matched whole. */
function narrowed(asked: DataItem, now: number): Pick<WorklistFilter, 'from' | 'to' | 'modality'> {
  const [step = []] = itemsAt(asked, 'ScheduledProcedureStepSequence')
  const day = parsePredicate('DA', textAt(step, 'ScheduledProcedureStepStartDate'))
  const iso = (date: string) => (/^\d{8}/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6, 8)}` : undefined)
  const named = /^[A-Z0-9_ ]+$/.exec(textAt(step, 'Modality').trim())?.[0]
  if (day.kind === 'range') return { from: iso(day.from), to: iso(day.to), modality: named }
  const overdue = new Date(now - OVERDUE_DAYS * 86_400_000).toLocaleDateString('sv-SE')
  return { from: overdue, modality: named }
}

const aCode = { codeValue: '-', codingSchemeDesignator: '-', codeMeaning: '-' }
/** Which elements an item may have at all. */
const everyElement: DataItem = dataSetOf({
  ...WorklistDraft.parse({ patientId: '-', patientName: '-', modality: 'OT', startDate: '2000-01-01', startTime: '00:00', requestedProcedureCode: aCode, protocolCodes: [aCode] }),
  studyInstanceUid: StudyInstanceUid.parse('0'),
  itemId: '-',
  examId: null,
  state: 'scheduled',
  scheduledStepId: '-',
  createdAt: 0,
  updatedAt: 0,
})
