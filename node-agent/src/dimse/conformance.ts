import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/file-meta.ts'
import { transferSyntax, transferSyntaxUids } from '../dicom/transfer-syntax.ts'
import { attributesOf, type Level } from '../archive/attributes.ts'
import { defaultLimits } from './limits.ts'
import { querySyntaxUids } from './negotiation.ts'
import { defaultScuSettings } from './requested-association.ts'
import { serviceSopClasses, storageSopClasses } from './sop-classes.ts'

/** CONFORMANCE.md, written from the tables that the code itself uses; `npx tsx node-agent/src/dimse/write-conformance.ts` writes the file. */
export function conformanceStatement(): string {
  return [heading, implementation(), services(), storage(), query(), scu(), errors, syntaxes()].join('\n\n') + '\n'
}

const heading = `# DICOM conformance statement of the Lianpian node agent

Written from the tables in \`src/dimse\` and \`src/dicom\`; a test fails when this file is not current. Standard: DICOM PS3, 2024.
DICOMweb and WADO-URI are described by \`/openapi.json\` of a running node.`

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function implementation(): string {
  const seconds = (ms: number) => `${ms / 1000} s`
  return `## Associations

${table(
  ['item', 'value (default where configurable)'],
  [
    ['Application context', '1.2.840.10008.3.1.1.1'],
    ['Implementation class UID', IMPLEMENTATION_CLASS_UID],
    ['Implementation version name', IMPLEMENTATION_VERSION_NAME],
    ['Maximum PDU received', `${defaultLimits.maxPduBytes} bytes; longer P-DATA-TFs are aborted`],
    ['Maximum PDU of a peer', `0 (no limit) or at least ${defaultLimits.minPeerPduBytes} bytes; less is rejected`],
    ['Asynchronous operations', 'not negotiated: one operation at a time per association'],
    ['Role selection', 'as SCP we answer SCP role 0'],
    ['User identity, extended negotiation', 'read and not used'],
    ['Calling AE title', 'must be registered (configurable); otherwise rejected, permanent, calling AE title not recognised'],
    ['Called AE title', 'not checked (configurable)'],
    ['Associations at once', `${defaultLimits.maxAssociations}; one more is rejected, transient, local limit exceeded`],
    ['ARTIM', seconds(defaultLimits.artimMs)],
    ['Idle between messages', seconds(defaultLimits.idleMs)],
    ['Stalled inside a message', `less than ${defaultLimits.minBytesPerStall} bytes in ${seconds(defaultLimits.stallMs)}`],
    ['Security', 'TLS 1.2 or later when configured, optionally with client certificates'],
  ],
)}`
}

function services(): string {
  return `## Services as SCP

${table(
  ['SOP class', 'UID', 'service', 'transfer syntaxes'],
  serviceSopClasses.map(({ name, uid, service }) => [
    name,
    uid,
    service,
    querySyntaxUids.map((each) => transferSyntax(each).name).join(', '),
  ]),
)}

Other services are answered with status 0x0211; a service in a context of another class with 0x0122.`
}

function storage(): string {
  return `## Storage as SCP (C-STORE)

Objects are stored as sent, in the transfer syntax in which they came, with a new file meta header. Success (0x0000) is
answered after file and index rows are on disk. Of the syntaxes proposed for a context the first known one is accepted.
A repeated identical object is answered with success and changes nothing; changed content replaces the earlier object, which is kept aside.
Private storage classes, and classes below the storage root that are newer than this table, are accepted (configurable).

${table(
  ['SOP class', 'UID'],
  storageSopClasses.map(({ name, uid, retired }) => [retired ? `${name} (retired)` : name, uid]),
)}`
}

function query(): string {
  const levels: readonly (readonly [string, Level])[] = [
    ['PATIENT (Patient Root)', 'patient'],
    ['STUDY', 'study'],
    ['SERIES', 'series'],
    ['IMAGE', 'instance'],
  ]
  return `## Query as SCP (C-FIND)

Keys of higher levels may be used at lower ones. SERIES needs one Study Instance UID, IMAGE one Series Instance UID as well
(otherwise 0xA900); Patient ID may be left out below PATIENT. Matching: single value, list of UIDs, wildcards \`*\` and \`?\`, ranges of dates and times, universal.
Keys that are not matched are returned where known, and pending responses then carry 0xFF01. C-CANCEL is honoured.
After ${defaultLimits.maxMatches} matches (configurable) the final status is 0xA700. Answers are in ISO_IR 192, or GB18030 where configured.

${table(
  ['level', 'matched and returned'],
  levels.map(([name, level]) => [
    name,
    attributesOf(level)
      .map(({ keyword }) => keyword)
      .join(', '),
  ]),
)}

Returned besides: ModalitiesInStudy and SOPClassesInStudy (matched too), NumberOfPatientRelatedStudies, NumberOfStudyRelatedSeries,
NumberOfStudyRelatedInstances, NumberOfSeriesRelatedInstances, AvailableTransferSyntaxUID, RetrieveAETitle, InstanceAvailability.`
}

function scu(): string {
  const seconds = (ms: number) => `${ms / 1000} s`
  return `## Services as SCU

C-ECHO (test of a registered node) and C-STORE (forwarding of studies that arrived from the region). Every pair of SOP class and stored
transfer syntax is proposed in a context of its own; an object goes out in its stored syntax or is reported as not accepted.
Timeouts: connection ${seconds(defaultScuSettings.connectMs)}, association ${seconds(defaultScuSettings.associateMs)}, response ${seconds(defaultScuSettings.responseMs)}, stalled sending ${seconds(defaultScuSettings.stallMs)}.
0x0000, 0xBxxx and 0x0111 count as stored; 0xA7xx and 0x0110 are tried again; other statuses wait for a person.`
}

const errors = `## Refusals

| what | answer |
| --- | --- |
| bytes that are no PDU, PDU with wrong lengths, PDU that does not fit the state | A-ABORT (PS3.8 Table 9-10) |
| unknown calling AE title | A-ASSOCIATE-RJ 1/1/3 |
| unknown abstract syntax, no common transfer syntax | presentation context result 3, 4 |
| data set that breaks off | nothing is kept |
| SOP UIDs that are not UIDs, unreadable data set | 0xC000 |
| data set that contradicts its command | 0xA900 |
| not enough space | 0xA700 |`

function syntaxes(): string {
  return `## Transfer syntaxes for storage

${table(
  ['name', 'UID'],
  transferSyntaxUids.map((uid) => [transferSyntax(uid).name, uid]),
)}`
}
