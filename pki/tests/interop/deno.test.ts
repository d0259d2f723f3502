import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { z } from 'zod'
import { Opener, Sealer } from '../../src/index.ts'
import { aRegion } from '../a-region.ts'

const deno = fileURLToPath(new URL('../../../node_modules/.bin/deno', import.meta.url))
const peer = fileURLToPath(new URL('./deno-peer.ts', import.meta.url))
const Answer = z.object({ machines: z.array(z.string()), envelope: z.string() })

it('a node on Deno, without native SM2 and SM4, exchanges envelopes with one on Node (SEC-11)', { timeout: 30_000 }, () => {
  const region = aRegion()
  const [here, there] = [region.party('hospital-a'), region.party('hospital-c')]
  const question = '右肺结节'.repeat(1_000) // long enough for the vector kernel, which Deno has to run, too
  const task = {
    certificateChain: there.certificateChain,
    privateKeyPem: there.privateKey.exportPem(),
    rootPem: region.root.certificatePem,
    envelope: new Sealer(here).seal({ recipients: [there.certificate], body: question }),
  }
  const answer = Answer.parse(
    JSON.parse(execFileSync(deno, ['run', '-A', '--quiet', peer], { input: JSON.stringify(task), encoding: 'utf8' })),
  )
  expect(answer.machines).toEqual(['node:crypto hash', 'vector, sm-crypto-v2', 'sm-crypto-v2'])
  const opened = new Opener(here, region.trust(), { maxAgeMs: 60_000 }).open(answer.envelope, { from: there.party })
  expect(Buffer.from(opened.body).toString()).toBe(`answer to: ${question}`)
})
