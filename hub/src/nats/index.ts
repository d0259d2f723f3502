export { NatsAdministration, type AdministrationOptions } from './administration.ts'
export { prepareNats, type PreparedNats, type PrepareOptions } from './prepare.ts'
