import { Scope } from 'specs'
import { z } from 'zod'
import { Assignment } from '../role/roles.ts'

const unit = z.string().trim().min(1).max(32)

const fields = {
  /** 姓名 */
  name: z.string().trim().min(1).max(60),
  /** 职称 */
  title: z.string().trim().max(60),
  /** 工号 */
  staffNumber: z.string().trim().min(1).max(32).nullable(),
  department: unit.nullable(),
  campus: unit.nullable(),
  /** 岗位 */
  position: z.string().trim().max(60),
  phone: z
    .string()
    .trim()
    .regex(/^[+\d][\d -]{4,30}$/, '电话号码只能包含数字、空格和短横线')
    .nullable(),
  /** After this the account cannot be used. Epoch ms. */
  validUntil: z.number().int().positive().nullable(),
  /** Instead of the setting: 30 for a reading workstation, 0 for a screen that never signs out. */
  idleMinutes: z.number().int().min(0).max(720).nullable(),
}

/** What an administrator keeps of a person. */
export const PersonFacts = z.object({
  ...fields,
  title: fields.title.default(''),
  staffNumber: fields.staffNumber.default(null),
  department: fields.department.default(null),
  campus: fields.campus.default(null),
  position: fields.position.default(''),
  phone: fields.phone.default(null),
  validUntil: fields.validUntil.default(null),
  idleMinutes: fields.idleMinutes.default(null),
})
export type PersonFacts = z.output<typeof PersonFacts>

export const username = z
  .string()
  .trim()
  .regex(/^[\p{L}\p{N}][\p{L}\p{N}._@-]{0,63}$/u, '用户名只能包含文字、数字和 . _ @ -')

export const NewPerson = PersonFacts.extend({ username, roles: z.array(Assignment).max(50).default([]), groups: z.array(z.string().max(64)).max(100).default([]) })
export type NewPerson = z.output<typeof NewPerson>

/** Only what is named changes. */
export const PersonChange = z.object(fields).partial()
export type PersonChange = z.output<typeof PersonChange>

const RoleWithScope = z.object({ role: z.string(), scope: Scope })

/** One row of the list of accounts. */
export const PersonRow = z.object({
  id: z.string(),
  username: z.string(),
  name: z.string(),
  title: z.string(),
  staffNumber: z.string().nullable(),
  department: z.string().nullable(),
  campus: z.string().nullable(),
  position: z.string(),
  phone: z.string().nullable(),
  validUntil: z.number().nullable(),
  idleMinutes: z.number().nullable(),
  /** `expired`: its time is over; `locked`: too many failed sign-ins. */
  state: z.enum(['active', 'disabled', 'expired', 'locked']),
  disabledReason: z.string(),
  roles: z.array(RoleWithScope),
  groups: z.array(z.string()),
  /** Wait for the security administrator. */
  requestedRoles: z.array(z.string()),
  secondFactors: z.array(z.enum(['totp', 'webauthn'])),
  mustChangePassword: z.boolean(),
  lastUsedAt: z.number().nullable(),
  createdAt: z.number(),
})
export type PersonRow = z.output<typeof PersonRow>
