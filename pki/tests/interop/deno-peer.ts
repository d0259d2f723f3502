import { Buffer } from 'node:buffer'
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { z } from 'zod'
import { loadIdentity, Opener, provider, Sealer, TrustStore } from '../../src/index.ts'

/** The other end of deno.test.ts: opens an envelope and seals the answer, in a runtime without native SM2 and SM4. */
const Task = z.object({ certificateChain: z.array(z.string()), privateKeyPem: z.string(), rootPem: z.string(), envelope: z.string() })
const { envelope, rootPem, ...own } = Task.parse(JSON.parse(readFileSync(0, 'utf8')))
const identity = loadIdentity(own)
const trust = new TrustStore({ rootPem })
const opened = new Opener(identity, trust, { maxAgeMs: 60_000 }).open(envelope)
const body = `answer to: ${Buffer.from(opened.body).toString('utf8')}`
const machines = [provider.digest.name, provider.cipher.name, provider.signature.name]
process.stdout.write(JSON.stringify({ machines, envelope: new Sealer(identity).seal({ recipients: [opened.certificate], body }) }))
