export { NatsAdministration, type AdministrationOptions } from './administration.ts'
export { readNatsCa, signNatsTrust, type NatsTlsMode } from './tls.ts'
export { prepareNats, type PreparedNats, type PrepareOptions } from './prepare.ts'
