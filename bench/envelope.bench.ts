import { Buffer } from 'node:buffer'
import { spawnSync } from 'node:child_process'
import process from 'node:process'
import {
  createCsr,
  createIntermediateCa,
  createRootCa,
  generateSm2KeyPair,
  type Identity,
  issueCertificate,
  loadIdentity,
  Opener,
  PieceCipher,
  Sealer,
  sm2Sign,
  sm2Verify,
  sm3,
  TrustStore,
} from 'pki'
import { PartyId, PieceRequest, RegionId } from 'specs'

/**
 * Envelopes, signatures and bulk ciphers per core, beside what `openssl speed` reaches in the same minute on the same
 * machine: the bound no wrapper around OpenSSL can pass (SM4-CTR of long texts is not one, ADR 0004).
 */
export interface BenchRow {
  readonly what: string
  readonly ours: string
  readonly openssl: string
}

const regionId = RegionId.parse('bench')

function aParty(ca: { certificatePem: string; privateKeyPem: string }, name: string): Identity {
  const { privateKeyPem } = generateSm2KeyPair()
  const csr = createCsr({ party: PartyId.parse(name), organisation: name, regionId, privateKeyPem })
  return loadIdentity({ certificateChain: [issueCertificate(ca, csr, { days: 1 }), ca.certificatePem], privateKeyPem })
}

/** Per second of processor time, as `openssl speed` counts too: others use the machine meanwhile. The best of three runs. */
function perSecond(work: () => void, cpuMs = 220): number {
  work()
  const rates = [0, 1, 2].map(() => {
    const start = process.cpuUsage()
    for (let count = 1; ; count++) {
      work()
      const { user, system } = process.cpuUsage(start)
      const usedMs = (user + system) / 1_000
      if (usedMs >= cpuMs) return (count * 1_000) / usedMs
    }
  })
  return Math.max(...rates)
}

const MIB = 1024 * 1024
const rate = (value: number): string => `${Math.round(value).toLocaleString('en')}/s`
const throughput = (bytesPerSecond: number): string => `${Math.round(bytesPerSecond / MIB)} MiB/s`

/** `openssl speed -mr` lines: +F4 for signatures (seconds per sign and verify), +F for bulk (bytes per second). */
function opensslSpeed(...args: string[]): string[] {
  const { stdout } = spawnSync('openssl', ['speed', '-mr', '-seconds', '1', ...args], { encoding: 'utf8' })
  return (stdout ?? '').split('\n').filter((line) => line.startsWith('+F'))
}

function opensslBulk(algorithm: string, blockBytes: number): string {
  const line = opensslSpeed('-bytes', String(blockBytes), '-evp', algorithm).find((candidate) => candidate.startsWith('+F:'))
  const value = Number(line?.split(':').at(-1))
  return Number.isFinite(value) ? throughput(value) : 'not available'
}

function opensslSm2(): { sign: string; verify: string } {
  const fields = opensslSpeed('sm2')
    .map((line) => line.split(':'))
    .find((parts) => parts.length >= 6)
  const [sign, verify] = [Number(fields?.at(-2)), Number(fields?.at(-1))]
  return sign > 0 && verify > 0
    ? { sign: rate(perSecondOf(sign)), verify: rate(perSecondOf(verify)) }
    : { sign: 'not available', verify: 'not available' }
}

/** OpenSSL 3.0 writes seconds per operation, 3.2 operations per second. */
const perSecondOf = (value: number): number => (value < 1 ? 1 / value : value)

export function run(): Promise<{ name: string; rows: BenchRow[] }> {
  const root = createRootCa({ name: 'bench', days: 1 })
  const ca = createIntermediateCa(root, { name: 'bench', regionId, days: 1 })
  const [from, to] = [aParty(ca, 'hospital-a'), aParty(ca, 'hospital-c')]
  const [sealer, opener] = [
    new Sealer(from),
    new Opener(to, new TrustStore({ rootPem: root.certificatePem, regionId }), { maxAgeMs: 60_000 }),
  ]
  const body = Buffer.alloc(1024, 0x41)
  const seal = (): string => sealer.seal({ recipients: [to.certificate], body })
  const sealed = seal()
  const signature = sm2Sign(from.privateKey, body)

  const keys = PieceCipher.generateKeys()
  const pieces = new PieceCipher(keys.encryptionKey, keys.macKey)
  const piece = Buffer.alloc(MIB, 0x41)
  const request = PieceRequest.parse({
    sessionId: '0b9ac6e2-51b1-4dd0-9a94-7c0a6f7ab0a3',
    counter: 1,
    sopInstanceUid: '1.2.3',
    offset: 0,
    length: MIB,
  })
  const sealedPiece = pieces.sealPiece(request, piece)
  const sm2 = opensslSm2()

  const [signs, verifies] = [
    perSecond(() => void sm2Sign(from.privateKey, body)),
    perSecond(() => void sm2Verify(from.certificate.publicKey, body, signature)),
  ]
  const rows: BenchRow[] = [
    { what: 'SM2 sign + verify (goal 1,500/s + 1,500/s)', ours: `${rate(signs)} + ${rate(verifies)}`, openssl: `${sm2.sign} + ${sm2.verify}` },
    { what: 'envelope of 1 KiB sealed and opened', ours: rate(perSecond(() => void opener.open(seal()))), openssl: '' },
    { what: 'envelope of 1 KiB sealed', ours: rate(perSecond(() => void seal())), openssl: '' },
    { what: 'envelope of 1 KiB opened', ours: rate(perSecond(() => void opener.open(sealed))), openssl: '' },
    { what: 'SM3 of 1 MiB', ours: throughput(MIB * perSecond(() => void sm3(piece), 150)), openssl: opensslBulk('sm3', MIB) },
    {
      what: 'piece of 1 MiB sealed (SM4-CTR)',
      ours: throughput(MIB * perSecond(() => void pieces.sealPiece(request, piece), 150)),
      openssl: opensslBulk('sm4-ctr', MIB),
    },
    {
      what: 'piece of 1 MiB opened (SM4-CTR)',
      ours: throughput(MIB * perSecond(() => void pieces.openPiece(request, sealedPiece), 150)),
      openssl: '',
    },
  ]
  return Promise.resolve({ name: 'sealed envelopes and transfer ciphers, per core', rows })
}

if (process.argv[1]?.endsWith('envelope.bench.ts')) {
  const { name, rows } = await run()
  process.stdout.write(`${name}\n| what | ours | openssl speed |\n|---|---|---|\n`)
  for (const { what, ours, openssl } of rows) process.stdout.write(`| ${what} | ${ours} | ${openssl} |\n`)
}
