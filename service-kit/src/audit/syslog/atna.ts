import { Buffer } from 'node:buffer'
import { type AuditAction, type AuditRow, describeAction } from 'specs'

/** PS3.15 A.5.2.5 and PS3.16 CID 400–404: a code of the DICOM terminology. */
interface Code {
  readonly code: string
  readonly text: string
}
const dcm = (code: string, text: string): Code => ({ code, text })

const events = {
  applicationActivity: dcm('110100', 'Application Activity'),
  auditLogUsed: dcm('110101', 'Audit Log Used'),
  beginTransferring: dcm('110102', 'Begin Transferring DICOM Instances'),
  instancesAccessed: dcm('110103', 'DICOM Instances Accessed'),
  instancesTransferred: dcm('110104', 'DICOM Instances Transferred'),
  studyDeleted: dcm('110105', 'DICOM Study Deleted'),
  export: dcm('110106', 'Export'),
  networkEntry: dcm('110108', 'Network Entry'),
  patientRecord: dcm('110110', 'Patient Record'),
  procedureRecord: dcm('110111', 'Procedure Record'),
  query: dcm('110112', 'Query'),
  securityAlert: dcm('110113', 'Security Alert'),
  userAuthentication: dcm('110114', 'User Authentication'),
} as const

/** EventActionCode, PS3.15 A.5.1: create, read, update, delete, execute. */
type ActionCode = 'C' | 'R' | 'U' | 'D' | 'E'

interface Mapping {
  readonly event: Code
  readonly action: ActionCode
  readonly type?: Code
}

const ofAction: Partial<Record<AuditAction, Mapping>> = {
  'session.sign-in': { event: events.userAuthentication, action: 'E', type: dcm('110122', 'Login') },
  'session.sign-out': { event: events.userAuthentication, action: 'E', type: dcm('110123', 'Logout') },
  'session.end': { event: events.userAuthentication, action: 'E', type: dcm('110123', 'Logout') },
  'system.start': { event: events.applicationActivity, action: 'E', type: dcm('110120', 'Application Start') },
  'system.stop': { event: events.applicationActivity, action: 'E', type: dcm('110121', 'Application Stop') },
  'exam.list': { event: events.query, action: 'E' },
  'exam.search': { event: events.query, action: 'E' },
  'study.search': { event: events.query, action: 'E' },
  'patient.search': { event: events.query, action: 'E' },
  'image.view': { event: events.instancesAccessed, action: 'R' },
  'study.archive': { event: events.instancesTransferred, action: 'C' },
  'study.store': { event: events.instancesTransferred, action: 'C' },
  'transfer.send': { event: events.beginTransferring, action: 'E' },
  'transfer.receive': { event: events.instancesTransferred, action: 'C' },
  'transfer.forward': { event: events.instancesTransferred, action: 'R' },
  'study.delete': { event: events.studyDeleted, action: 'D' },
  'exam.read': { event: events.procedureRecord, action: 'R' },
  'exam.register': { event: events.procedureRecord, action: 'C' },
  'exam.change': { event: events.procedureRecord, action: 'U' },
  'exam.delete': { event: events.procedureRecord, action: 'D' },
  'report.read': { event: events.procedureRecord, action: 'R' },
  'patient.change': { event: events.patientRecord, action: 'U' },
  'patient.reidentify': { event: events.patientRecord, action: 'R' },
  'patient.unmask': { event: events.patientRecord, action: 'R' },
  'break-glass.open': { event: events.securityAlert, action: 'E', type: dcm('110127', 'Emergency Override Started') },
  'access.refused': { event: events.securityAlert, action: 'E', type: dcm('110132', 'Use of Restricted Function') },
  'audit.alarm': { event: events.securityAlert, action: 'E', type: dcm('110133', 'Audit Recording Stopped') },
}

/** What has no row of its own is told by its category; changes of rights and settings are security alerts. */
function mappingOf(action: AuditAction): Mapping {
  const own = ofAction[action]
  if (own) return own
  switch (describeAction(action).category) {
    case 'session':
      return action === 'dicom.association' ? { event: events.networkEntry, action: 'E', type: dcm('110124', 'Attach') } : { event: events.userAuthentication, action: 'E' }
    case 'account':
      return { event: events.securityAlert, action: 'E', type: dcm('110137', 'User security Attributes Changed') }
    case 'policy':
      return { event: events.securityAlert, action: 'E', type: dcm('110135', 'Object Security Attributes Changed') }
    case 'export':
      return { event: events.export, action: 'R' }
    case 'audit':
      return { event: events.auditLogUsed, action: 'R' }
    case 'region':
    case 'config':
      return { event: events.securityAlert, action: 'E', type: dcm('110128', 'Network Configuration') }
    case 'system':
      return { event: events.securityAlert, action: 'E', type: dcm('110131', 'Software Configuration') }
    case 'exam':
    case 'consult':
      return { event: events.procedureRecord, action: 'U' }
    case 'transfer':
    case 'archive':
      return { event: events.instancesTransferred, action: 'C' }
    case 'search':
      return { event: events.query, action: 'E' }
    case 'view':
      return { event: events.instancesAccessed, action: 'R' }
  }
}

/** EventOutcomeIndicator: success, minor failure (refused), serious failure. */
const outcomes = { success: '0', refused: '4', failed: '8' } as const

/**
 * An audit message in the form of PS3.15 A.5.1: EventIdentification, ActiveParticipants, AuditSourceIdentification, ParticipantObjects, in this order.
 * Patients are named by their keyed hash, as in the trail.
 */
export function atnaMessage(record: AuditRow): string {
  const { event, action, type } = mappingOf(record.action)
  const identification = element(
    'EventIdentification',
    { EventActionCode: action, EventDateTime: new Date(record.at).toISOString(), EventOutcomeIndicator: outcomes[record.outcome] },
    [code('EventID', event), ...(type ? [code('EventTypeCode', type)] : []), code('EventTypeCode', { code: record.action, text: record.titleEn }, 'lianpian'), ...(record.code ? [text('EventOutcomeDescription', record.code)] : [])],
  )
  const message = [identification, ...participantsOf(record), sourceOf(record), ...objectsOf(record, event)]
  return `<?xml version="1.0" encoding="UTF-8"?>${element('AuditMessage', {}, message)}`
}

function participantsOf({ actor, node, facts, action }: AuditRow): string[] {
  const source = typeof facts?.['source'] === 'string' ? facts['source'] : undefined
  const destination = typeof facts?.['destination'] === 'string' ? facts['destination'] : undefined
  const isProcess = actor.kind === 'system' || actor.kind === 'dicom-node' || actor.kind === 'hospital'
  const address: Record<string, string> = actor.sourceIp === undefined ? {} : { NetworkAccessPointID: actor.sourceIp, NetworkAccessPointTypeCode: '2' }
  const requestor = element(
    'ActiveParticipant',
    { UserID: actor.id, ...(actor.name !== undefined && { UserName: actor.name }), ...(actor.sessionId !== undefined && { AlternativeUserID: actor.sessionId }), UserIsRequestor: 'true', ...address },
    isProcess ? [code('RoleIDCode', action === 'system.start' || action === 'system.stop' ? dcm('110151', 'Application Launcher') : dcm('110150', 'Application'))] : (actor.roles ?? []).map((role) => code('RoleIDCode', { code: role, text: role }, 'lianpian')),
  )
  const end = (id: string, role: Code) => element('ActiveParticipant', { UserID: id, UserIsRequestor: 'false' }, [code('RoleIDCode', role)])
  return [
    requestor,
    ...(source === undefined || source === '' ? [] : [end(source, dcm('110153', 'Source Role ID'))]),
    ...(destination === undefined || destination === '' ? [] : [end(destination, dcm('110152', 'Destination Role ID'))]),
    ...(source === undefined && destination === undefined ? [end(node, dcm('110150', 'Application'))] : []),
  ]
}

/** AuditSourceTypeCode 4: application server. */
const sourceOf = ({ node, hospital }: AuditRow): string => element('AuditSourceIdentification', { AuditEnterpriseSiteID: hospital, AuditSourceID: node }, [element('AuditSourceTypeCode', { 'csd-code': '4' }, [])])

/** ParticipantObjectTypeCode, …Role and id type by what the object is (PS3.15 A.5.1, CID 404). */
function objectsOf({ object, facts, action, eventId }: AuditRow, event: Code): string[] {
  const objects: string[] = []
  if (object !== undefined) {
    const isStudy = object.type === 'study'
    const isSecurity = ['account', 'role', 'group', 'rule', 'grant', 'certificate', 'key', 'session', 'config', 'audit'].includes(object.type)
    const idType = isStudy ? code('ParticipantObjectIDTypeCode', dcm('110180', 'Study Instance UID')) : code('ParticipantObjectIDTypeCode', { code: object.type, text: object.type }, 'lianpian')
    const query = event === events.query ? [text('ParticipantObjectQuery', Buffer.from(JSON.stringify(facts ?? {}), 'utf8').toString('base64'))] : [text('ParticipantObjectName', `${object.type} ${object.id}`)]
    const attributes = { ParticipantObjectID: object.id, ParticipantObjectTypeCode: '2', ParticipantObjectTypeCodeRole: event === events.query ? '24' : isSecurity ? '13' : '3' }
    objects.push(element('ParticipantObjectIdentification', attributes, [idType, ...query, detail('eventId', eventId), detail('action', action)]))
    if (object.patientKey !== undefined) {
      objects.push(
        element('ParticipantObjectIdentification', { ParticipantObjectID: object.patientKey, ParticipantObjectTypeCode: '1', ParticipantObjectTypeCodeRole: '1' }, [
          element('ParticipantObjectIDTypeCode', { 'csd-code': '2', codeSystemName: 'RFC-3881', originalText: 'Patient Number' }, []),
          text('ParticipantObjectName', 'pseudonym'),
        ]),
      )
    }
  }
  return objects
}

const detail = (type: string, value: string): string => element('ParticipantObjectDetail', { type, value: Buffer.from(value, 'utf8').toString('base64') }, [])
const code = (name: string, { code: value, text: originalText }: Code, codeSystemName = 'DCM'): string => element(name, { 'csd-code': value, codeSystemName, originalText }, [])
const text = (name: string, content: string): string => `<${name}>${escape(content)}</${name}>`

function element(name: string, attributes: Readonly<Record<string, string>>, children: readonly string[]): string {
  const shown = Object.entries(attributes).map(([key, value]) => ` ${key}="${escape(value)}"`).join('')
  return children.length === 0 ? `<${name}${shown}/>` : `<${name}${shown}>${children.join('')}</${name}>`
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&apos;' }
/** XML 1.0 forbids most control characters even as references; an end of line would be a second message to collectors that read lines. */
const escape = (content: string): string => content.replace(/[\u0000-\u001f\u0085\u2028\u2029\ufffe\uffff]/g, ' ').replace(/[&<>"']/g, (character) => entities[character] ?? character)
