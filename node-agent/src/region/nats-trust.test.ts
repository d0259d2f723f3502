import { createIntermediateCa, createRootCa, generateSm2KeyPair, issueCertificate, loadIdentity, signDocument, TrustStore, type Identity } from 'pki'
import { describe, expect, it } from 'vitest'
import { HUB, natsTrustDocument, parseHospitalId, RegionId, type Directory, type NatsTrust, type PartyId } from 'specs'
import { aDirectory } from '../consult/builders.ts'
import { checkNatsTrust, natsTrustOf } from './nats-trust.ts'

const regionId = RegionId.parse('yunling')
const root = createRootCa({ name: '根', days: 10 })
const ca = createIntermediateCa(root, { name: '区域', regionId, days: 10 })
const trust = new TrustStore({ rootPem: root.certificatePem, regionId })

function identityOf(party: PartyId): Identity {
  const { privateKeyPem, publicKeyPem } = generateSm2KeyPair()
  const leaf = issueCertificate(ca, { party, organisation: 'x', regionId, publicKeyPem }, { days: 5 })
  return loadIdentity({ certificateChain: [leaf, ca.certificatePem], privateKeyPem })
}
const reached = { natsUrl: 'tls://hub.example:4222', natsCa: 'PEM of the root' }
const signedBy = (identity: Identity): NatsTrust => ({ ...reached, ...signDocument(identity, natsTrustDocument(regionId, reached)) })
const directoryWith = (natsTrust: NatsTrust): Directory => ({ ...aDirectory(), regionId, natsTrust })
const check = (natsTrust: NatsTrust) => () => checkNatsTrust(directoryWith(natsTrust), trust, Date.now())

describe('the TLS root of the NATS server', () => {
  const genuine = signedBy(identityOf(HUB))

  it('is taken from the hub, so that trust goes back to the join code', () => { // SEC-11
    expect(check(genuine)).not.toThrow()
    expect(natsTrustOf({ natsUrl: 'nats://as-joined:4222', directory: directoryWith(genuine) })).toMatchObject(reached)
    expect(natsTrustOf({ natsUrl: 'nats://as-joined:4222', directory: aDirectory() })).toEqual({ natsUrl: 'nats://as-joined:4222' })
  })

  it('is refused when somebody on the way has put in another root or address, or another member signed it', () => { // SEC-11
    expect(check({ ...genuine, natsCa: 'PEM of an impostor' })).toThrow(expect.objectContaining({ code: 'envelope/bad-signature' }))
    expect(check({ ...genuine, natsUrl: 'nats://hub.example:4222' })).toThrow(expect.objectContaining({ code: 'envelope/bad-signature' }))
    expect(check(signedBy(identityOf(parseHospitalId('hospital-b'))))).toThrow(expect.objectContaining({ code: 'envelope/wrong-sender' }))
  })
})
