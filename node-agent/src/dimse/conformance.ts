import { IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME } from '../dicom/file-meta.ts'
import { transferSyntax, transferSyntaxUids } from '../dicom/transfer-syntax.ts'
import { attributesOf, type Level } from '../archive/attributes.ts'
import { defaultLimits } from './limits.ts'
import { querySyntaxUids } from './negotiation.ts'
import { defaultScuSettings } from './requested-association.ts'
import { serviceSopClasses, storageSopClasses } from './sop-classes.ts'

/** CONFORMANCE.md, written from the tables that the code itself uses; `npx tsx node-agent/src/dimse/write-conformance.ts` writes the file. */
export function conformanceStatement(): string {
  return [heading, implementation(), services(), storage(), query(), retrieval, commitment, worklist, performedSteps, scu(), errors, syntaxes()].join('\n\n') + '\n'
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
    ['Role selection', 'as SCP: SCP role 1 for storage classes (C-GET) and for Storage Commitment, otherwise 0'],
    ['SOP class extended negotiation', 'FIND: relational queries, combined date and time, fuzzy names; MOVE and GET: relational retrieval'],
    ['User identity', 'read and not used'],
    ['Calling AE title', 'must be registered (switched on and off at run time); otherwise rejected, permanent, calling AE title not recognised'],
    ['Called AE title', 'not checked (configurable); one of a receiving node chooses that node, on any port'],
    ['Receiving nodes', 'further AE titles, with or without a port of their own: what is sent there is kept for one submitter, and only that is found and fetched there'],
    ['Associations at once', `${defaultLimits.maxAssociations}; one more is rejected, transient, local limit exceeded; fewer per calling AE title where registered so`],
    ['ARTIM', seconds(defaultLimits.artimMs)],
    ['Idle between messages', seconds(defaultLimits.idleMs)],
    ['Stalled inside a message', `less than ${defaultLimits.minBytesPerStall} bytes in ${seconds(defaultLimits.stallMs)}`],
    ['Changes of these settings', 'hold from the next association on; none needs a restart'],
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
answered after file and index rows are on disk. Of the syntaxes proposed for a context the first known one is accepted,
unless others are preferred for the calling AE title.
A repeated identical object is answered with success and changes nothing; changed content replaces the earlier object, which is kept aside.
Private storage classes, and classes below the storage root that are newer than this table, are accepted (configurable); every class of this table can be
refused by setting. A device whose scope is limited stores only what lies within it, otherwise 0x0124.

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
(otherwise 0xA900), unless relational queries were negotiated; Patient ID may be left out below PATIENT. Matching: single value, list of UIDs, wildcards
\`*\` and \`?\`, ranges of dates and times, universal. Where negotiated: a range of dates with one of times is one range of moments; person names match by their words in any
order, without accents, Chinese ones also by pinyin. Sequence matching is not supported. A query that no key narrows and that would look at too much ends by 0xA700.
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

Returned besides: ModalitiesInStudy and SOPClassesInStudy (matched too), NumberOfPatientRelatedStudies, NumberOfPatientRelatedSeries,
NumberOfPatientRelatedInstances, NumberOfStudyRelatedSeries, NumberOfStudyRelatedInstances, NumberOfSeriesRelatedInstances, AvailableTransferSyntaxUID, RetrieveAETitle, InstanceAvailability.`
}

const retrieval = `## Retrieval as SCP (C-MOVE, C-GET)

Patient Root at PATIENT, STUDY, SERIES and IMAGE level, Study Root without PATIENT. The level's unique key names one patient, or one or more studies, series
or images; the levels above name one each (otherwise 0xA900), unless relational retrieval was negotiated. Other keys do not select. What matches nothing, or
nothing that the caller may see, ends by success with no sub-operations.

C-MOVE sends to registered nodes only (otherwise 0xA801), on one association, with Move Originator AE Title and Message ID. C-GET sends in the contexts in which the caller
took the SCP role. An object goes out as it is stored where the peer takes that, otherwise without loss in a syntax that it takes (C-MOVE: explicit or implicit VR little
endian). Pending responses with counts come with progress, at least every 5 s (C-MOVE). C-CANCEL ends after the object under way with 0xFE00. An association that the destination
breaks off is opened again for what is left, three times.

| final status | when |
| --- | --- |
| 0x0000 | all sent, or nothing to send |
| 0xB000 | some failed, or the destination warned; Failed SOP Instance UID List (0008,0058) |
| 0xA702 | all failed, or eight C-MOVEs are under way |
| 0xA801 | the destination is not registered |
| 0xA900 | keys that the level needs are missing |
| 0x0124 | the caller may not retrieve |
| 0xFE00 | cancelled |`

const commitment = `## Storage commitment (push model)

As SCP: an N-ACTION (action 1) is answered with success when the transaction is on disk, with 0x0115 when it is not valid. An instance counts as committed when its
row is there, of the named class, and its file has the recorded length; otherwise failure reason 0x0112, 0x0119 or 0x0110. The N-EVENT-REPORT (1 or 2) follows on the caller's
association while that is open, otherwise on one that we open to the registered node of that AE title with the roles reversed; tried for a day with growing waits, also
over a restart.

As SCU: N-ACTION to a node that images were sent to; its N-EVENT-REPORT is taken on the same association and on one that the node opens to us.`

const worklist = `## Modality worklist as SCP (C-FIND)

Steps that registration or a person has scheduled and no device has ended, in the order of their times; without a key for the day, none that was due more than seven
days ago. A device is told of what lies within its scope, and, where registered so, only of steps for its own AE title or for no device in particular.

Matched, inside Scheduled Procedure Step Sequence and outside, are all elements that are returned: single value, lists of UIDs, wildcards, ranges; date and time of the step
together are one range of moments; person names without regard to case, in any of their component groups. Keys that are not matched give 0xFF01. Of each step the elements that
were asked for are returned, of a sequence asked for without items all of it.

| module | elements |
| --- | --- |
| scheduled procedure step | Modality, ScheduledStationAETitle, ScheduledStationName, ScheduledProcedureStepStartDate, ScheduledProcedureStepStartTime, ScheduledPerformingPhysicianName, ScheduledProcedureStepDescription, ScheduledProtocolCodeSequence, ScheduledProcedureStepID, ScheduledProcedureStepLocation, ScheduledProcedureStepStatus, PreMedication, RequestedContrastAgent, CommentsOnTheScheduledProcedureStep |
| requested procedure | RequestedProcedureID, RequestedProcedureDescription, RequestedProcedureCodeSequence, StudyInstanceUID, RequestedProcedurePriority, ReasonForTheRequestedProcedure, PatientTransportArrangements, ConfidentialityConstraintOnPatientDataDescription |
| imaging service request, visit | AccessionNumber, RequestingPhysician, RequestingService, ReferringPhysicianName, AdmissionID, CurrentPatientLocation |
| patient | PatientName, PatientID, IssuerOfPatientID, PatientBirthDate, PatientSex, PatientSize, PatientWeight, MedicalAlerts, Allergies, PregnancyStatus, SpecialNeeds, PatientState |`

const performedSteps = `## Modality performed procedure step as SCP (N-CREATE, N-SET)

Success is answered when the step is in the database, with the scheduled steps it belongs to and a record in the study's log. It belongs to the scheduled step whose
Scheduled Procedure Step ID it names, otherwise to those of its accession number, otherwise of its study; not where it names another patient. COMPLETED ends the scheduled step;
one that was only DISCONTINUED is scheduled again.

| answer | when |
| --- | --- |
| 0x0000 | taken; a SOP Instance UID that the device leaves out is given by us |
| 0x0106 | N-CREATE with another status than IN PROGRESS, N-SET with an unknown one, or a SOP Instance UID that is none |
| 0x0110, error ID 0xA710 | N-SET after COMPLETED or DISCONTINUED |
| 0x0111 | the step exists |
| 0x0112 | the step does not exist |
| 0x0120 | status, Scheduled Step Attributes Sequence with a Study Instance UID, performed step ID, station AE title, start date, start time or modality is missing |
| 0x0124 | the caller may not use the worklist, or the scheduled step lies outside its scope |

N-SET changes what PS3.4 Table F.7.2-1 lets it change; other attributes in it are passed over.`

function scu(): string {
  const seconds = (ms: number) => `${ms / 1000} s`
  return `## Services as SCU

C-ECHO (test of a registered node), C-STORE (forwarding, routing and sub-operations of C-MOVE), C-FIND, C-MOVE and C-GET at other archives (Patient Root and Study Root, every level), N-ACTION
of storage commitment. In C-STORE every pair of SOP class and stored transfer syntax is proposed in a context of its own, with one more per class for the uncompressed syntaxes where an object may be
changed; what the peer takes in neither is reported as not accepted. In C-GET each class is proposed with SCP role 1.
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
