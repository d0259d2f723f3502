import { createHash } from 'node:crypto'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { Buffer } from 'node:buffer'
import { hasRight, type User } from 'service-kit'
import { maskName, maskNumber, maskText } from 'specs'
import type { JsonAttribute, JsonDataset, JsonPersonName } from '../dicom/dicom-json.ts'
import type { StudyAccess } from './study-source.ts'

const unzip = promisify(gunzip)
const zip = promisify(gzip)

/** Interfaces of the hospital exchange identities, if they have the right; people ask for them one by one (SEC-06). */
export function seesIdentities(user: Pick<User, 'entitlements'> & { readonly authMethod?: User['authMethod'] }): boolean {
  return user.authMethod === 'service' && hasRight(user, 'patient.unmask')
}

/** Patient attributes of PS3.3 C.7.1.1, C.2.3, C.2.4 that name or reach a person and that nobody reads images by. */
const emptied = new Set([
  '00100030', // Patient's Birth Date: a year alone is no date; Patient's Age stays
  '00100032', '00100050', '00101000', '00101001', '00101002', '00101005', '00101040', '00101050', '00101060', '00101080', '00101090',
  '00102154', '00102155', '00102297', '00102298', '00102299', '00104000',
  '04000551', // former values as bytes, names among them, where they were no valid text
]) // prettier-ignore
const PATIENT_NAME = '00100010'
const PATIENT_ID = '00100020'
const HISTORY = '001021B0'

/** DICOM JSON (PS3.18 F) at L1, sequences included. */
export function maskDataset(dataset: JsonDataset): JsonDataset {
  return Object.fromEntries(Object.entries(dataset).map(([tag, attribute]) => [tag, maskAttribute(tag, attribute)]))
}

function maskAttribute(tag: string, attribute: JsonAttribute): JsonAttribute {
  const { vr, Value } = attribute
  if (emptied.has(tag)) return { vr }
  if (Value === undefined) return attribute
  if (tag === PATIENT_NAME) return { vr, Value: Value.map((name) => (typeof name === 'object' && name !== null ? maskPersonName(name as JsonPersonName) : name)) }
  if (tag === PATIENT_ID) return { vr, Value: Value.map((id) => (typeof id === 'string' ? maskNumber(id, 'L1') : id)) }
  if (tag === HISTORY) return { vr, Value: Value.map((text) => (typeof text === 'string' ? maskText(text, 'L1') : text)) }
  if (vr === 'SQ') return { vr, Value: Value.map((item) => (typeof item === 'object' && item !== null ? maskDataset(item as JsonDataset) : item)) }
  return attribute
}

/** `Zhang^XiuLan` → `Zhang^X***`, 张^秀兰 → 张*兰; how it sounds is not told. */
export function maskPersonName({ Alphabetic, Ideographic }: JsonPersonName): JsonPersonName {
  return {
    ...(Alphabetic !== undefined && { Alphabetic: maskGroup(Alphabetic) }),
    ...(Ideographic !== undefined && { Ideographic: maskGroup(Ideographic) }),
  }
}

function maskGroup(group: string): string {
  const components = group.split('^').map((component) => component.trim())
  const given = components.filter((component) => component !== '')
  if (/\p{Script=Han}/u.test(group) || given.length < 2) return maskName(given.join(''), 'L1')
  return maskName(given.join(' '), 'L1').replaceAll(' ', '^')
}

/** A study whose metadata a person may see: everything but who it is. */
export function maskedStudyAccess(access: StudyAccess): StudyAccess {
  return {
    studyInstanceUid: access.studyInstanceUid,
    study: () => access.study(),
    seriesList: () => access.seriesList(),
    instanceList: (series) => access.instanceList(series),
    instance: (sopInstanceUid, signal) => access.instance(sopInstanceUid, signal),
    metadata: async (series) => maskedMetadata(await access.metadata(series)),
  }
}

/** A viewer asks again and again for the same series; taking a thousand instances apart takes a tenth of a second. */
const remembered = new Map<string, Promise<Buffer>>()
const REMEMBERED = 32

function maskedMetadata(zipped: Buffer): Promise<Buffer> {
  const key = createHash('sha256').update(zipped).digest('base64')
  const known = remembered.get(key)
  remembered.delete(key)
  const masked = known ?? unzip(zipped).then((json) => zip(JSON.stringify((JSON.parse(String(json)) as JsonDataset[]).map(maskDataset)), { level: 1 }))
  remembered.set(key, masked)
  masked.catch(() => remembered.delete(key))
  const [oldest] = remembered.keys()
  if (remembered.size > REMEMBERED && oldest !== undefined) remembered.delete(oldest)
  return masked
}
