import { X509Certificate } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { createTlsAuthority, issueTlsCertificate, signDocument, type Identity } from 'pki'
import { isLoopbackHost, NATS_TLS_NAME } from 'service-kit'
import { natsTrustDocument, type NatsTrust, type RegionId } from 'specs'
import { readOrUndefined, sealedElsewhere, secretFilesIn, writePrivate, type Safe } from './secret-files.ts'

/** `auto`: wherever others than this machine can reach nats-server. */
export type NatsTlsMode = 'auto' | 'on' | 'off'

export const isNatsTlsOn = (mode: NatsTlsMode, listenHost: string): boolean => mode === 'on' || (mode === 'auto' && !isLoopbackHost(listenHost))

export const natsTlsFiles = (dir: string) =>
  ({
    ca: { certificate: join(dir, 'tls', 'ca.cert.pem'), privateKey: join(dir, 'tls', 'ca.key.pem') },
    server: { certificate: join(dir, 'tls', 'server.cert.pem'), privateKey: join(dir, 'tls', 'server.key.pem') },
  }) as const

const CA_KEY = join('tls', 'ca.key.pem')
const CA_DAYS = 20 * 365
const SERVER_DAYS = 397
const DAY_MS = 86_400_000
/** Whoever prepares the server (each start, each `init`) gives it a new certificate when this much or less is left. */
const RENEW_WITHIN_MS = 90 * DAY_MS

/**
 * Certificate and key of nats-server under a TLS root of the region's own: nats-server is written in Go and cannot do SM2. Nodes
 * get the root signed by the hub's SM2 key, so trust goes back to the join code. Kept as long as they hold; the root stays.
 *
 * @param names By which nodes reach the server; besides, every certificate holds the name that they check.
 * @param safe Seals the root's key. Without it a sealed one is left alone, and the running hub is who renews.
 * @returns Whether the server has a new certificate, which it reads at its next start or reload.
 */
export async function ensureNatsTls(dir: string, names: readonly string[], { now = Date.now(), safe }: { now?: number; safe?: Safe } = {}): Promise<boolean> {
  const files = natsTlsFiles(dir)
  await mkdir(join(dir, 'tls'), { recursive: true, mode: 0o700 })
  const ca = await authorityOf(dir, files.ca.certificate, safe, now)
  const wanted = [...new Set([NATS_TLS_NAME, 'localhost', '127.0.0.1', ...names])]
  const held = await readOrUndefined(files.server.certificate)
  const isHeld = held !== undefined && (await readOrUndefined(files.server.privateKey)) !== undefined
  if (isHeld && isGood(held, ca.certificatePem, wanted, now)) return false
  if (ca.privateKeyPem === undefined) {
    if (isHeld) return false
    throw sealedElsewhere(dir, CA_KEY)
  }
  const server = issueTlsCertificate({ certificatePem: ca.certificatePem, privateKeyPem: ca.privateKeyPem }, { names: wanted, days: SERVER_DAYS, now })
  await writePrivate(files.server.privateKey, server.privateKeyPem)
  await writePrivate(files.server.certificate, server.certificatePem)
  return true
}

/** The root that nodes shall trust for nats-server. @throws An Error that says to run `init`. */
export async function readNatsCa(dir: string): Promise<string> {
  const { certificate } = natsTlsFiles(dir).ca
  const pem = await readOrUndefined(certificate)
  if (pem === undefined) throw new Error(`${certificate} is missing: run "hub/src/cli.ts init" with this configuration first`)
  return pem
}

/** For the directory: members believe the address and its root because the hub says so. */
export const signNatsTrust = (hub: Identity, regionId: RegionId, reached: Pick<NatsTrust, 'natsUrl' | 'natsCa'>): NatsTrust => ({
  ...reached,
  ...signDocument(hub, natsTrustDocument(regionId, reached)),
})

async function authorityOf(dir: string, certificateFile: string, safe: Safe | undefined, now: number): Promise<{ certificatePem: string; privateKeyPem: string | undefined }> {
  const secrets = secretFilesIn(dir, safe)
  const [certificatePem, key] = [await readOrUndefined(certificateFile), await secrets.read(CA_KEY)]
  if (certificatePem !== undefined && key !== undefined) return { certificatePem, privateKeyPem: key === 'sealed' ? undefined : key.text }
  // Making a new root in silence would shut out every node that trusts the old one.
  if (certificatePem !== undefined) throw new Error(`${join(dir, CA_KEY)} is missing while its certificate is there`)
  const made = createTlsAuthority({ name: 'Lianpian NATS TLS', days: CA_DAYS, now })
  await secrets.write(CA_KEY, made.privateKeyPem)
  await writePrivate(certificateFile, made.certificatePem)
  return made
}

function isGood(pem: string, caPem: string, names: readonly string[], now: number): boolean {
  const certificate = new X509Certificate(pem)
  const isFor = (name: string) => (isIP(name) ? certificate.checkIP(name) : certificate.checkHost(name)) !== undefined
  return (
    certificate.verify(new X509Certificate(caPem).publicKey) && new Date(certificate.validTo).getTime() - now > RENEW_WITHIN_MS && names.every(isFor)
  )
}
