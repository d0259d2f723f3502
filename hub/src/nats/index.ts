export { NatsAdministration, type AdministrationOptions } from './administration.ts'
export { ensureNatsTls, readNatsCa, signNatsTrust, type NatsTlsMode } from './tls.ts'
export { natsNames, prepareNats, readCredentials, type PreparedNats, type PrepareOptions } from './prepare.ts'
export { NatsCertificate } from './certificate-watch.ts'
