export { kindOfAddress, type AddressKind } from './address.ts'
export { OutboundConfig } from './config.ts'
export { outboundFetch, type FetchInit, type FetchOptions } from './fetch.ts'
export { Outbound, type OutboundOptions, type OutboundPurpose, type Resolve, type Resolved } from './outbound.ts'
