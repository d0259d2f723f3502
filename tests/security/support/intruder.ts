import { randomUUID } from 'node:crypto'
import { jetstream } from '@nats-io/jetstream'
import { connect, credsAuthenticator, type NatsConnection } from '@nats-io/transport-node'
import { loadIdentity, Opener, parseCertificate, Sealer, signDocument, TrustStore, type Identity } from 'pki'
import { createLog, natsTlsOptions, Outbound } from 'service-kit'
import { ASSERTION_TYPE, HospitalId, inboxPrefix, MessageId, PROBLEM_HEADER, subjects, type IdentityAssertion, type PartyId } from 'specs'
import { joinRegion } from '../../../node-agent/src/region/join.ts'
import { eventually } from '../../support/region.ts'
import type { Party } from './global-setup.ts'
import { ask, bearer } from './visitor.ts'

/** A hospital that has joined properly and whose keys have come into wrong hands: ours. */
export class Intruder {
  readonly id: HospitalId
  readonly joined: Awaited<ReturnType<typeof joinRegion>>
  readonly identity: Identity
  readonly nats: NatsConnection
  readonly #node: string
  readonly #posted: string[] = []

  private constructor(id: HospitalId, node: string, joined: Intruder['joined'], identity: Identity, nats: NatsConnection) {
    this.id = id
    this.#node = node
    this.joined = joined
    this.identity = identity
    this.nats = nats
  }

  /** @returns when the hub and the node have heard of it. */
  static async join(name: string, { hub, node }: { hub: Party; node: Party }): Promise<Intruder> {
    const id = HospitalId.parse(name)
    const asAdmin = (path: string, body?: unknown) => ask(hub.url, { method: 'POST', path, body, headers: bearer(hub.tokens['region-admin'] ?? '') })
    const entry = { id, name: '外来医院', code: `1253090${name}`.slice(0, 22), kinds: ['submitter', 'processor'], taskTypes: ['consultation'], flowModes: ['push', 'pull'], agentAddress: '' }
    const made = await asAdmin('/api/hospitals', entry)
    if (made.status !== 201) throw new Error(`${name}: ${made.text}`)
    const { code } = JSON.parse((await asAdmin(`/api/hospitals/${id}/join-code`)).text) as { code: string }
    const joined = await joinRegion({ hubUrl: hub.url, code, hospitalId: id, hospitalName: entry.name, agentVersion: '0', now: Date.now(), timeoutMs: 20_000, outbound: new Outbound(), log: createLog({ name: 'intruder', level: 'silent' }) })
    const identity = loadIdentity({ certificateChain: [...joined.membership.certificateChain], privateKeyPem: joined.secrets.privateKeyPems[0] ?? '' })
    const intruder = new Intruder(id, node.id, joined, identity, await dial(joined, id))
    await eventually('the hub and the node know the newcomer', async () => (await intruder.call('node', 'exam.read', intruder.seal('node', 'exam.read'))) === 'request/invalid')
    return intruder
  }

  dial(): Promise<NatsConnection> {
    return dial(this.joined, this.id)
  }

  certificateOf(party: 'hub' | 'node') {
    const { hubCertificateChain, directory } = this.joined.membership
    return parseCertificate(party === 'hub' ? (hubCertificateChain[0] ?? '') : (directory.hospitals.find(({ id }) => id === this.#node)?.certificate ?? ''))
  }

  seal(party: 'hub' | 'node', service: string, body: unknown = {}, by: Identity = this.identity): string {
    return new Sealer(by).seal({ id: MessageId.parse(randomUUID()), recipients: [this.certificateOf(party)], body: JSON.stringify({ service, body }) })
  }

  /** The code of the refusal, or `answered`. */
  async call(party: 'hub' | 'node', service: string, text: string | Uint8Array): Promise<string> {
    return (await this.ask(party, service, text)).code
  }

  async ask(party: 'hub' | 'node', service: string, text: string | Uint8Array): Promise<{ code: string; body?: unknown }> {
    const { regionId, rootCertificate } = this.joined.membership
    const subject = party === 'hub' ? subjects.hubRequest(regionId, this.id, service) : subjects.nodeRequest(regionId, HospitalId.parse(this.#node), this.id, service)
    const message = await this.nats.request(subject, text, { timeout: 8_000 })
    const told = message.headers?.get(PROBLEM_HEADER)
    if (told) return { code: told }
    const opened = new Opener(this.identity, new TrustStore({ rootPem: rootCertificate, regionId }), { maxAgeMs: 60_000 }).open(message.data, { from: (party === 'hub' ? 'hub' : this.#node) as PartyId })
    const reply = JSON.parse(new TextDecoder().decode(opened.body)) as { outcome: string; body?: unknown; problem?: { code: string } }
    return { code: reply.problem?.code ?? 'answered', body: reply.body }
  }

  /** A message to the hub by the proper way, with the next number. */
  async post(kind: string, body: unknown): Promise<void> {
    const id = MessageId.parse(randomUUID())
    this.#posted.push(id)
    const text = new Sealer(this.identity).seal({ id, recipients: [this.certificateOf('hub')], body: JSON.stringify({ seq: this.#posted.length, kind, body }) })
    await jetstream(this.nats).publish(subjects.toHub(this.joined.membership.regionId, this.id), text)
  }

  /** What the hub could not process of the messages posted so far, once it has taken them all: the code of each by its place. */
  async outcomes(): Promise<Record<number, string>> {
    const status = { pendingMessages: 0, refusedMessages: 0, studies: 0, instances: 0, freeBytes: 1, transfersActive: 0, address: '' }
    return eventually('the hub has taken all messages', async () => {
      const { body } = await this.ask('hub', 'sync', this.seal('hub', 'sync', { receivedUpTo: 0, sentUpTo: this.#posted.length, version: '0', status }))
      const { receivedUpTo, failed = [] } = body as { receivedUpTo: number; failed?: { id: string; code: string }[] }
      return receivedUpTo === this.#posted.length && Object.fromEntries(failed.map(({ id, code }) => [this.#posted.indexOf(id), code]))
    })
  }

  /** This hospital's word for a person who never was. */
  asserts(service: string, more: Partial<IdentityAssertion> = {}) {
    const person = { userId: 'u1', name: '无此人', title: '', roles: ['expert'], rights: ['region.search', 'image.view', 'exam.read'], authMethod: 'password' }
    const assertion = { type: ASSERTION_TYPE, assertionId: randomUUID(), hospital: this.id, audience: this.#node, service, person, purpose: 'consultation', issuedAt: Date.now(), expires: Date.now() + 240_000, ...more }
    return { assertion, ...signDocument(this.identity, assertion) }
  }
}

function dial({ secrets, membership }: Intruder['joined'], id: HospitalId): Promise<NatsConnection> {
  const tls = natsTlsOptions({ natsUrl: membership.natsUrl, natsCa: membership.directory.natsTrust?.natsCa })
  return connect({ servers: membership.natsUrl, ...tls, authenticator: credsAuthenticator(new TextEncoder().encode(secrets.natsCredentials)), inboxPrefix: inboxPrefix(id), reconnect: false, timeout: 5_000 })
}
