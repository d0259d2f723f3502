import { isIP } from 'node:net'
import { z } from 'zod'

const prefixBits = { 4: 32, 6: 128 } as const

/** `10.0.0.0/8`, `10.1.2.3`, `pacs.hospital.cn`, `*.hospital.cn`. */
const Allowed = z
  .string()
  .trim()
  .toLowerCase()
  .max(255)
  .refine((text) => isSubnet(text) || /^(?:\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9])?$/.test(text), '应为网段、地址或主机名 / a subnet, an address or a host name')

export function isSubnet(text: string): boolean {
  const [address = '', prefix, ...more] = text.split('/')
  const family = isIP(address)
  if (family !== 4 && family !== 6) return false
  return more.length === 0 && (prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= prefixBits[family]))
}

/**
 * Where this service may connect to at the wish of an administrator or of a message. Cloud metadata, link-local and reserved addresses
 * are never allowed.
 */
export const OutboundConfig = z.strictObject({
  /**
   * Whether this machine itself may be addressed. `auto`: only where the service's own pages are on loopback, as in a demonstration on
   * one machine; elsewhere, databases and administration ports of the machine are nobody's business.
   */
  loopback: z.enum(['auto', 'allowed', 'refused']).default('auto'),
  /** When it holds anything, nothing else is connected to: subnets, addresses, host names. */
  only: z.array(Allowed).max(1_000).default([]),
})
export type OutboundConfig = z.output<typeof OutboundConfig>
