import type { JsonAttribute, JsonDataset, JsonPersonName } from '../dicom/dicom-json.ts'
import { keywordOf } from '../dicom/dictionary.ts'

/** What XML 1.0 has no place for; a name with a control character in it must not make a document that nobody can read. */
const unspeakable = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g
const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;', '\r': '&#13;', '\n': '&#10;', '\t': '&#9;' }
const escaped = (text: string): string => text.replaceAll(unspeakable, '\ufffd').replaceAll(/[&<>"'\r\n\t]/g, (sign) => signs[sign] ?? sign)

/** A dataset as the Native DICOM Model (PS3.19 A.1), from its JSON form. */
export function nativeXml(dataset: JsonDataset): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">${attributes(dataset)}</NativeDicomModel>`
}

const attributes = (dataset: JsonDataset): string =>
  Object.entries(dataset)
    .map(([tag, attribute]) => element(tag, attribute, dataset))
    .join('')

function element(tag: string, attribute: JsonAttribute, dataset: JsonDataset): string {
  const number = parseInt(tag, 16)
  const isPrivate = (number >>> 16) % 2 === 1
  const keyword = isPrivate ? undefined : keywordOf(number)
  const named = keyword === undefined ? '' : ` keyword="${escaped(keyword)}"`
  return `<DicomAttribute tag="${escaped(tag)}" vr="${escaped(attribute.vr)}"${named}${isPrivate ? creator(tag, dataset) : ''}>${content(attribute)}</DicomAttribute>`
}

/** Of a private attribute: who gave its number a meaning (PS3.5 7.8.1). */
function creator(tag: string, dataset: JsonDataset): string {
  const name = dataset[`${tag.slice(0, 4)}00${tag.slice(4, 6)}`]?.Value?.[0]
  return typeof name === 'string' ? ` privateCreator="${escaped(name)}"` : ''
}

function content({ Value, InlineBinary, BulkDataURI }: JsonAttribute): string {
  if (BulkDataURI !== undefined) return `<BulkData uri="${escaped(BulkDataURI)}"/>`
  if (InlineBinary !== undefined) return `<InlineBinary>${InlineBinary}</InlineBinary>`
  return (Value ?? []).map((value, index) => valueXml(value, index + 1)).join('')
}

function valueXml(value: NonNullable<JsonAttribute['Value']>[number], number: number): string {
  if (value === null) return `<Value number="${number}"/>`
  if (typeof value !== 'object') return `<Value number="${number}">${escaped(String(value))}</Value>`
  if (isPersonName(value)) return `<PersonName number="${number}">${personName(value)}</PersonName>`
  return `<Item number="${number}">${attributes(value)}</Item>`
}

const isPersonName = (value: JsonPersonName | JsonDataset): value is JsonPersonName => Object.keys(value).some((key) => key === 'Alphabetic' || key === 'Ideographic' || key === 'Phonetic')

const components = ['FamilyName', 'GivenName', 'MiddleName', 'NamePrefix', 'NameSuffix']

function personName(name: JsonPersonName): string {
  return (['Alphabetic', 'Ideographic', 'Phonetic'] as const)
    .flatMap((group) => {
      const parts = name[group]?.split('^') ?? []
      const told = components.flatMap((component, at) => (parts[at] ? [`<${component}>${escaped(parts[at])}</${component}>`] : []))
      return told.length > 0 ? [`<${group}>${told.join('')}</${group}>`] : []
    })
    .join('')
}
