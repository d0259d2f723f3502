import { BlockList, isIP } from 'node:net'

/**
 * What lies behind an IP address, by the registries of special addresses (RFC 6890 and IANA's tables). `metadata` are services of
 * clouds that hand out credentials to whoever asks from inside.
 */
export type AddressKind = 'public' | 'private' | 'loopback' | 'link-local' | 'metadata' | 'reserved'

type Subnet = readonly [address: string, prefix: number]

function listOf(subnets: readonly Subnet[]): BlockList {
  const list = new BlockList()
  for (const [address, prefix] of subnets) list.addSubnet(address, prefix, isIP(address) === 4 ? 'ipv4' : 'ipv6')
  return list
}

/** In the order of asking: what is named first counts. */
const kinds: readonly (readonly [AddressKind, BlockList])[] = [
  ['metadata', listOf([['169.254.169.254', 32], ['169.254.170.2', 32], ['100.100.100.200', 32], ['192.0.0.192', 32], ['fd00:ec2::254', 128]])],
  ['loopback', listOf([['127.0.0.0', 8], ['::1', 128]])],
  ['link-local', listOf([['169.254.0.0', 16], ['fe80::', 10]])],
  [
    'private',
    listOf([
      ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['100.64.0.0', 10], ['fc00::', 7],
      // For documentation and for measuring: no network has them but one of its own.
      ['192.0.2.0', 24], ['198.51.100.0', 24], ['203.0.113.0', 24], ['198.18.0.0', 15], ['2001:db8::', 32],
    ]),
  ],
  [
    'reserved',
    listOf([
      ['0.0.0.0', 8], ['192.0.0.0', 24], ['192.88.99.0', 24], ['224.0.0.0', 4], ['240.0.0.0', 4],
      ['::', 128], ['100::', 64], ['ff00::', 8], ['fec0::', 10],
    ]),
  ],
] // prettier-ignore

/** @param address An IP address as a socket knows it, never a name. @throws {RangeError} when it is none. */
export function kindOfAddress(address: string): AddressKind {
  const family = isIP(address)
  if (family === 0) throw new RangeError('not an IP address')
  if (family === 6) {
    const inner = embeddedIpv4(address)
    if (inner !== undefined) return kindOfAddress(inner)
  }
  const found = kinds.find(([, list]) => list.check(address, family === 4 ? 'ipv4' : 'ipv6'))
  return found?.[0] ?? 'public'
}

/** Ways to write an IPv4 address as IPv6, by which a forbidden one could be reached: mapped, compatible, NAT64, 6to4, Teredo's server side. */
function embeddedIpv4(address: string): string | undefined {
  const groups = groupsOf(address)
  const quad = (high = 0, low = 0) => [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.')
  const startsWith = (...expected: number[]) => expected.every((group, at) => groups[at] === group)
  if (startsWith(0, 0, 0, 0, 0, 0xffff)) return quad(groups[6], groups[7])
  if (startsWith(0, 0, 0, 0, 0, 0) && (groups[6] ?? 0) !== 0) return quad(groups[6], groups[7])
  if (startsWith(0x64, 0xff9b, 0, 0, 0, 0)) return quad(groups[6], groups[7])
  if (startsWith(0x2002)) return quad(groups[1], groups[2])
  return undefined
}

function groupsOf(address: string): number[] {
  const [bare = ''] = address.split('%') // a zone names an interface, not another address
  // The URL parser writes every spelling in one way, IPv4 tails included (RFC 5952).
  const [head = '', tail] = new URL(`http://[${bare}]`).hostname.slice(1, -1).split('::')
  const parts = (text: string) => (text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16)))
  const [before, after] = [parts(head), parts(tail ?? '')]
  return [...before, ...Array.from({ length: 8 - before.length - after.length }, () => 0), ...after]
}
