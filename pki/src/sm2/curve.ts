import { Buffer } from 'node:buffer'

/** Parameters a‖b‖x_G‖y_G of the recommended curve, GB/T 32918.5-2017 2, as they enter Z. */
export const CURVE = Buffer.from(
  'FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFC' +
    '28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93' +
    '32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7' +
    'BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0',
  'hex',
)

/** Order n of the base point. */
export const ORDER = Buffer.from('FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123', 'hex')

/** The user identity everybody uses unless agreed otherwise (GM/T 0009-2012 10). */
export const DEFAULT_USER_ID = '1234567812345678'

/** Whether a 32-byte big-endian number lies in [1, n-1]. */
export function isScalar(bytes: Uint8Array): boolean {
  return bytes.length === 32 && Buffer.compare(bytes, ORDER) < 0 && bytes.some((octet) => octet !== 0)
}
