import { generateSm2KeyPair, issueCertificate, issueServiceCertificate, loadPrivateKey, parseCertificate, type Certificate } from 'pki'
import { HUB, type EpochMs, type RegionId } from 'specs'
import { authorityFiles, keyFilesOf, readIfPresent, type KeyMaterial, type KeySafe } from './files.ts'

export interface AuthorityOptions {
  /** Data folder of the hub. */
  readonly dir: string
  readonly regionId: RegionId
  readonly regionName: string
  readonly now?: () => EpochMs
  /** Keeps private keys unreadable at rest; what lies open is sealed at its first reading. `init` runs without one. */
  readonly safe?: KeySafe | undefined
  /** How long certificates last that the authority issues, in days. */
  readonly days?: { readonly node: number; readonly person: number; readonly service: number }
}

/** What the authority works with: keys and certificates as they lie in its folder, none of them about to run out. */
export interface Held {
  readonly region: KeyMaterial
  /** Of before a change of key, newest first. */
  readonly formerRegions: readonly KeyMaterial[]
  readonly rootPem: string
  readonly hub: KeyMaterial
  /** PEM of the hub's former keys. */
  readonly formerHubKeys: readonly string[]
  readonly timeStamp: KeyMaterial
  readonly rootCrl: string | undefined
}

const DAY_MS = 86_400_000
const HUB_DAYS = 5 * 365
const TIME_STAMP_DAYS = 5 * 365
/** Before this much is left the hub certifies itself anew; nodes learn it with the directory. */
const HUB_RENEWAL_MS = 365 * DAY_MS

/**
 * Reads the folder and certifies anew, under the authority that issues now, what runs out soon or was certified by a former one.
 * @throws An Error that says to run `init` when there is no authority in `dir`.
 */
export async function holdAuthority(options: AuthorityOptions): Promise<Held> {
  const { dir, regionId, now = Date.now, safe } = options
  const files = authorityFiles(dir)
  const keys = keyFilesOf(safe)
  const region = await keys.read(files.region)
  const rootPem = await readIfPresent(files.rootCertificate)
  if (!region || rootPem === undefined)
    throw new Error(`${dir} holds no region authority: run "hub/src/cli.ts init" with this configuration first`)
  const certificate = parseCertificate(region.certificatePem)
  const issuedFor = certificate.subject.ou
  if (issuedFor !== regionId)
    throw new Error(`the region authority in ${dir} is of region ${issuedFor}, the configuration names ${regionId}`)
  if (!belongTogether(region))
    throw new Error(`${files.region.privateKey} and its certificate differ: repeat "hub/src/cli.ts import-authority" with the root's answer`)

  const issuing = { region, regionId, regionName: options.regionName, now: now() }
  const held = await keys.read(files.hub)
  const hub = held && isGood(held, certificate, now()) ? held : issueHub(issuing)
  if (held && hub !== held && belongTogether(held)) await keys.write(files.formerHub(parseCertificate(held.certificatePem).serial), held)
  if (hub !== held) await keys.write(files.hub, hub)

  const stamping = await keys.read(files.timeStamp)
  const timeStamp = stamping && isGood(stamping, certificate, now()) ? stamping : issueTimeStamp(issuing)
  if (timeStamp !== stamping) await keys.write(files.timeStamp, timeStamp)

  const formerRegions = await keys.readFormer(files.formerRegions)
  const formerHubs = await keys.readFormer(files.formerHubs)
  return {
    region,
    formerRegions: formerRegions.sort((a, b) => startOf(b) - startOf(a)),
    rootPem,
    hub,
    formerHubKeys: formerHubs.map(({ privateKeyPem }) => privateKeyPem),
    timeStamp,
    rootCrl: await readIfPresent(files.rootCrl),
  }
}

const startOf = ({ certificatePem }: KeyMaterial) => parseCertificate(certificatePem).notBefore

/** A crash while a pair was being replaced leaves the new key beside the old certificate. */
export function belongTogether({ certificatePem, privateKeyPem }: KeyMaterial): boolean {
  return loadPrivateKey(privateKeyPem).publicKey.equals(parseCertificate(certificatePem).publicKey)
}

/** Nobody can be certified beyond the end of the authority; that is the root's to extend. */
function isGood(pair: KeyMaterial, authority: Certificate, now: EpochMs): boolean {
  const { notAfter, authorityKeyId } = parseCertificate(pair.certificatePem)
  return authorityKeyId === authority.subjectKeyId && belongTogether(pair) && (notAfter - now > HUB_RENEWAL_MS || notAfter >= authority.notAfter)
}

interface Issuing {
  readonly region: KeyMaterial
  readonly regionId: RegionId
  readonly regionName: string
  readonly now: EpochMs
}

export function issueHub({ region, regionId, regionName, now }: Issuing): KeyMaterial {
  const { publicKeyPem, privateKeyPem } = generateSm2KeyPair()
  const subject = { party: HUB, organisation: regionName, regionId, publicKeyPem }
  return { certificatePem: issueCertificate(region, subject, { days: HUB_DAYS, now }), privateKeyPem }
}

function issueTimeStamp({ region, regionId, regionName, now }: Issuing): KeyMaterial {
  const { publicKeyPem, privateKeyPem } = generateSm2KeyPair()
  const subject = { name: `${regionName} 时间戳`, organisation: regionName, regionId, publicKeyPem }
  return { certificatePem: issueServiceCertificate(region, subject, { days: TIME_STAMP_DAYS, now, profile: 'time-stamp' }), privateKeyPem }
}
