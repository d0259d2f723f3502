import { Buffer } from 'node:buffer'
import { type ByteReader, protocolFault, trimPadding } from './byte-reader.ts'

/** The user information item of PS3.8 9.3.2.3 with the sub-items of PS3.7 D.3.3. Sub-items not named here are passed over. */
export interface UserInformation {
  /** Largest P-DATA-TF (without its header) that this side takes; 0 or absent means no limit (PS3.8 D.1). */
  readonly maxLengthBytes: number
  readonly implementationClassUid?: string
  readonly implementationVersionName?: string
  /** PS3.7 D.3.3.4 */
  readonly roles: readonly RoleSelection[]
  /** PS3.7 D.3.3.3. Read so that it can be logged; we never answer it, which means one operation at a time. */
  readonly asynchronousOperations?: { readonly invoked: number; readonly performed: number }
  /** PS3.7 D.3.3.5, application information as sent. Tolerated; answered only where a service defines it. */
  readonly extendedNegotiation: readonly { readonly sopClassUid: string; readonly information: Buffer }[]
  /** PS3.7 D.3.3.7: 1 user name, 2 with passcode, 3 Kerberos, 4 SAML, 5 JWT. The fields hold secrets and are never logged. */
  readonly userIdentity?: {
    readonly identityType: number
    readonly responseRequested: boolean
    readonly primary: Buffer
    readonly secondary: Buffer
  }
}

export interface RoleSelection {
  readonly sopClassUid: string
  readonly scu: boolean
  readonly scp: boolean
}

type Draft = { -readonly [K in keyof UserInformation]: UserInformation[K] } & {
  roles: RoleSelection[]
  extendedNegotiation: { sopClassUid: string; information: Buffer }[]
}

export function decodeUserInformation(reader: ByteReader): UserInformation {
  const user: Draft = { maxLengthBytes: 0, roles: [], extendedNegotiation: [] }
  while (reader.remaining > 0) {
    const type = reader.uint8()
    reader.skip(1)
    decodeSubItem(user, type, reader.part(reader.uint16be()))
  }
  return user
}

function decodeSubItem(user: Draft, type: number, part: ByteReader): void {
  switch (type) {
    case 0x51:
      if (part.remaining !== 4) throw protocolFault('maximum length item is not four bytes')
      user.maxLengthBytes = part.uint32be()
      return
    case 0x52:
      user.implementationClassUid = part.uid(part.remaining)
      return
    case 0x53:
      user.asynchronousOperations = { invoked: part.uint16be(), performed: part.uint16be() }
      return
    case 0x54:
      user.roles.push({ sopClassUid: part.uid(part.uint16be()), scu: part.uint8() === 1, scp: part.uint8() === 1 })
      return
    case 0x55:
      user.implementationVersionName = trimPadding(part.text(part.remaining)).slice(0, 16)
      return
    case 0x56:
      user.extendedNegotiation.push({ sopClassUid: part.uid(part.uint16be()), information: part.bytes(part.remaining) })
      return
    case 0x58:
      user.userIdentity = {
        identityType: part.uint8(),
        responseRequested: part.uint8() === 1,
        primary: part.bytes(part.uint16be()),
        secondary: part.bytes(part.uint16be()),
      }
      return
  }
}

export function encodeUserInformation(user: UserInformation): Buffer {
  const maxLength = Buffer.alloc(4)
  maxLength.writeUInt32BE(user.maxLengthBytes)
  const parts = [item(0x51, maxLength)]
  if (user.implementationClassUid !== undefined) parts.push(item(0x52, Buffer.from(user.implementationClassUid, 'latin1')))
  if (user.asynchronousOperations)
    parts.push(item(0x53, Buffer.concat([uint16(user.asynchronousOperations.invoked), uint16(user.asynchronousOperations.performed)])))
  for (const role of user.roles)
    parts.push(
      item(0x54, Buffer.concat([counted(Buffer.from(role.sopClassUid, 'latin1')), Buffer.from([Number(role.scu), Number(role.scp)])])),
    )
  if (user.implementationVersionName !== undefined) parts.push(item(0x55, Buffer.from(user.implementationVersionName, 'latin1')))
  for (const entry of user.extendedNegotiation)
    parts.push(item(0x56, Buffer.concat([counted(Buffer.from(entry.sopClassUid, 'latin1')), entry.information])))
  const identity = user.userIdentity
  if (identity)
    parts.push(
      item(
        0x58,
        Buffer.concat([
          Buffer.from([identity.identityType, Number(identity.responseRequested)]),
          counted(identity.primary),
          counted(identity.secondary),
        ]),
      ),
    )
  return Buffer.concat(parts)
}

/** Type, reserved byte, length (16 bits), value: the form of every item and sub-item. */
export function item(type: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type, 0]), counted(value)])
}

function counted(value: Buffer): Buffer {
  return Buffer.concat([uint16(value.length), value])
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
