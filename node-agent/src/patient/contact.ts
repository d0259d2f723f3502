import type { Migration, Queries, SqlValue, Transaction, Vault } from 'service-kit'
import { isIdCard, maskAddress, maskIdCard, maskPhone, type ContactChange, type MaskLevel, type PatientContact } from 'specs'

export type Sealing = Pick<Vault, 'seal' | 'open' | 'blindIndex'>

export const contactMigrations: readonly Migration[] = [
  {
    name: '0001-exam-contact',
    up: [
      `CREATE TABLE exam_contact (exam_id TEXT PRIMARY KEY, id_card TEXT NOT NULL, id_card_index TEXT NOT NULL, phone TEXT NOT NULL,
        phone_index TEXT NOT NULL, address TEXT NOT NULL)`,
      'CREATE INDEX exam_contact_id_card ON exam_contact (id_card_index)',
      'CREATE INDEX exam_contact_phone ON exam_contact (phone_index)',
    ],
  },
]

/** 身份证, 手机, 住址 of the patient as registered with an exam: sealed, so that they stand nowhere in the database (GB/T 22239 8.1.4.8). */
const sealedColumns = [
  ['idCard', 'id_card'],
  ['phone', 'phone'],
  ['address', 'address'],
] as const

/** For re-sealing with a new key: what is sealed here, and under which context. */
export const sealedContact = sealedColumns.map(([field, column]) => ({
  table: 'exam_contact', key: 'exam_id', column, context: (examId: string) => contextOf(examId, field),
})) // prettier-ignore

const contextOf = (examId: string, field: keyof PatientContact) => `exam/${examId}/${field}`
export const noContact: PatientContact = { idCard: '', phone: '', address: '' }

/** Numbers are found however they were written. */
const normalIdCard = (text: string) => text.trim().toUpperCase()
const normalPhone = (text: string) => text.replace(/\D/g, '').replace(/^(?:00)?86(?=1[3-9]\d{9}$)/, '')

/** What is absent stays as it is. */
export async function keepContact(tx: Transaction, vault: Sealing, examId: string, change: ContactChange): Promise<void> {
  if (sealedColumns.every(([field]) => change[field] === undefined)) return
  const kept = { ...((await contactsOf(tx, vault, [examId])).get(examId) ?? noContact), ...definedIn(change) }
  const sealed = (field: keyof PatientContact) => (kept[field] === '' ? '' : vault.seal(kept[field], contextOf(examId, field)))
  const index = (text: string, kind: string) => (text === '' ? '' : vault.blindIndex(text, kind))
  await tx.run('DELETE FROM exam_contact WHERE exam_id = $1', [examId])
  if (sealedColumns.every(([field]) => kept[field] === '')) return
  await tx.run('INSERT INTO exam_contact (exam_id, id_card, id_card_index, phone, phone_index, address) VALUES ($1, $2, $3, $4, $5, $6)', [
    examId,
    sealed('idCard'),
    index(normalIdCard(kept.idCard), 'id-card'),
    sealed('phone'),
    index(normalPhone(kept.phone), 'phone'),
    sealed('address'),
  ])
}

export function forgetContact(tx: Transaction, examId: string): Promise<number> {
  return tx.run('DELETE FROM exam_contact WHERE exam_id = $1', [examId])
}

/** Of the exams that have any. @throws {Problem} vault/unreadable */
export async function contactsOf(db: Queries, vault: Sealing, examIds: readonly string[]): Promise<ReadonlyMap<string, PatientContact>> {
  if (examIds.length === 0) return new Map()
  const rows = await db.all<{ examId: string } & PatientContact>(
    `SELECT exam_id AS "examId", id_card AS "idCard", phone, address FROM exam_contact WHERE exam_id IN (${examIds.map((_id, at) => `$${at + 1}`).join(', ')})`,
    examIds,
  )
  const open = (sealed: string, examId: string, field: keyof PatientContact) => (sealed === '' ? '' : vault.open(sealed, contextOf(examId, field)))
  return new Map(rows.map(({ examId, ...row }) => [examId, { idCard: open(row.idCard, examId, 'idCard'), phone: open(row.phone, examId, 'phone'), address: open(row.address, examId, 'address') }]))
}

export function maskContact({ idCard, phone, address }: PatientContact, level: MaskLevel): PatientContact {
  return { idCard: maskIdCard(idCard, level), phone: maskPhone(phone, level), address: maskAddress(address, level) }
}

/** A whole number somebody searches by; a part of one finds nothing (blind index). */
export interface ContactSearch {
  readonly idCardIndex?: string
  readonly phoneIndex?: string
}

export function contactSearch(vault: Sealing, text: string | undefined): ContactSearch {
  const asked = (text ?? '').trim()
  if (isIdCard(asked.toUpperCase()) || /^\d{15}$/.test(asked)) return { idCardIndex: vault.blindIndex(normalIdCard(asked), 'id-card') }
  // Seven digits are the shortest number of a landline.
  if (/^\+?[\d\s-]{7,20}$/.test(asked) && normalPhone(asked).length >= 7) return { phoneIndex: vault.blindIndex(normalPhone(asked), 'phone') }
  return {}
}

/** SQL on rows of the exam register, or nothing when no such number was asked for. */
export function contactCondition({ idCardIndex, phoneIndex }: ContactSearch, bind: (value: SqlValue) => string): string | undefined {
  if (idCardIndex !== undefined) return `exam_id IN (SELECT c.exam_id FROM exam_contact c WHERE c.id_card_index = ${bind(idCardIndex)})`
  if (phoneIndex !== undefined) return `exam_id IN (SELECT c.exam_id FROM exam_contact c WHERE c.phone_index = ${bind(phoneIndex)})`
  return undefined
}

const definedIn = <T extends object>(change: T): Partial<T> => Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined)) as Partial<T>
