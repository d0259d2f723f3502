import { Buffer } from 'node:buffer'
import { hostname } from 'node:os'
import process from 'node:process'
import type { AuditRow } from 'specs'
import { atnaMessage } from './atna.ts'

/** Facility 10, security and authorisation (RFC 5424 6.2.1); notice, or warning for what did not succeed. */
const FACILITY = 10
const severities = { success: 5, refused: 4, failed: 3 } as const
/** PS3.15 A.6: the MSGID by which collectors know an audit message in the DICOM schema. */
const MSGID = 'DICOM+RFC3881'

/** RFC 5424: header fields are printable ASCII without spaces; the message begins with a byte order mark because it is UTF-8. */
export function syslogMessage(record: AuditRow): Buffer {
  const priority = FACILITY * 8 + severities[record.outcome]
  const header = `<${priority}>1 ${new Date(record.at).toISOString()} ${name(hostname())} ${name(`lianpian-${record.node}`)} ${process.pid} ${MSGID} - `
  return Buffer.from(`${header}\ufeff${atnaMessage(record)}`, 'utf8')
}

/** RFC 5425 4.3 and RFC 6587 3.4.1: the length in octets, a space, the message. */
export const framed = (message: Buffer): Buffer => Buffer.concat([Buffer.from(`${message.length} `, 'ascii'), message])

const name = (text: string): string => text.replace(/[^\x21-\x7e]/g, '-').slice(0, 48) || '-'
