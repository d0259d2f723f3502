import { Buffer } from 'node:buffer'
import type { Link } from 'service-kit'
import { parseHospitalId, parseWith, PersonRequest, PersonRevocation, RenewalRequest, services, TimeStampCall } from 'specs'
import type { Membership } from '../hospital/membership.ts'
import type { Certificates } from './certificates.ts'

/** What a node asks of the authority over its own line: who asks, the envelope has shown. */
export function serveCertificates(link: Pick<Link, 'serve'>, { membership, certificates }: { membership: Membership; certificates: Certificates }): void {
  link.serve(services.certificateRenew, ({ from, body }) => membership.renew(parseHospitalId(from), parseWith(RenewalRequest, body, 'renewal')))
  link.serve(services.personCertify, ({ from, body }) => certificates.certifyPerson(parseHospitalId(from), parseWith(PersonRequest, body, 'person')))
  link.serve(services.personRevoke, async ({ from, body }) => {
    await certificates.revokePerson(parseHospitalId(from), parseWith(PersonRevocation, body, 'revocation'))
    return null
  })
  link.serve(services.timeStamp, async ({ body }) => {
    const { request } = parseWith(TimeStampCall, body, 'time stamp')
    return { response: Buffer.from(certificates.timeStamp(Buffer.from(request, 'base64'))).toString('base64') }
  })
}
