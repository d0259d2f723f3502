import express from 'express'
import type { Database, HttpFace } from 'service-kit'
import { CertificateChain, CertificateKindName, CertificateRow, CertificateState, CertificateStatus, HospitalId, Page, Problem, RevocationReasonName } from 'specs'
import { z } from 'zod'
import { currentCrl, formerCrls } from '../directory/directory.ts'
import { optionalFilter, PageQuery } from '../page-query.ts'
import type { Certificates } from './certificates.ts'
import { EXPIRING_MS, listCertificates, readCertificate, statusOf } from './register.ts'

export interface CertificateRouteParts {
  readonly db: Database
  readonly certificates: Certificates
  /** PEM of the region's authority, then the root. */
  readonly authorityChain: () => readonly string[]
  readonly authority: () => { readonly expires: number; readonly keyId: string }
  readonly nats: () => { readonly expires: number | null; readonly waitsForReload: boolean } | null
  /** PEM of its authorities of before a change of key. */
  readonly formerAuthorities: () => readonly string[]
  readonly now: () => number
}

const managers = ['certificate.manage'] as const
const watchers = ['certificate.manage', 'security.overview'] as const
const Serial = z.object({ serial: z.string().regex(/^[0-9a-f]{2,40}$/) })
const Issued = z.object({ row: CertificateRow, chain: CertificateChain })
const Overview = z.object({
  valid: z.number(), expiring: z.number(), expired: z.number(), revoked: z.number(), crlNumber: z.number().nullable(), crlIssuedAt: z.number().nullable(),
  /** End of the region's authority: nothing it certifies lasts longer. */
  authorityExpires: z.number(),
  /** Hospitals that still speak with a certificate of an authority's former key; they go over by themselves when they are online. */
  onFormerAuthority: z.number(),
  /** TLS of nats-server; null where it speaks without. */
  nats: z.object({ expires: z.number().nullable(), waitsForReload: z.boolean() }).nullable(),
}) // prettier-ignore

/** The certificate authority over HTTP: for its administrators, and for everybody what everybody must be able to check. */
export function certificateRoutes(face: HttpFace, parts: CertificateRouteParts): void {
  const { db, certificates, now } = parts
  const ListQuery = PageQuery.extend({
    text: optionalFilter(z.string().trim().max(100)),
    kind: optionalFilter(CertificateKindName),
    hospitalId: optionalFilter(HospitalId),
    state: optionalFilter(CertificateState),
  })
  face.route(
    {
      method: 'GET',
      path: '/api/certificates',
      summary: 'Certificates of the region, newest first; `state=expiring` are those that run out within 60 days',
      allow: watchers,
      query: ListQuery,
      answer: Page(CertificateRow),
    },
    async ({ query: { after, ...filter } }) => {
      const [, at, serial] = /^(\d+)\.([0-9a-f]+)$/.exec(after ?? '') ?? []
      const page = await listCertificates(db, { ...filter, after: at && serial ? { issuedAt: Number(at), serial } : undefined }, now())
      const last = page.rows.length === filter.limit ? page.rows.at(-1) : undefined
      return { ...page, next: last ? `${last.issuedAt}.${last.serial}` : null }
    },
  )
  face.route(
    { method: 'GET', path: '/api/certificates/overview', summary: 'How many certificates count, run out soon, have run out, are revoked', allow: watchers, answer: Overview },
    () => overview(parts),
  )
  face.route(
    { method: 'GET', path: '/api/certificates/:serial', summary: 'One certificate', allow: watchers, params: Serial, answer: CertificateRow },
    ({ params }) => readCertificate(db, params.serial, now()),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/certificates',
      summary: 'Issue the certificate of a service for a request (PKCS#10 with SM2)',
      allow: managers,
      body: z.object({ csr: z.string().max(8_000), name: z.string().trim().min(1).max(60), hospitalId: HospitalId.optional() }),
      answer: Issued,
    },
    async ({ body }) => ({ status: 201, body: await certificates.issueService(body) }),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/certificates/:serial/renew',
      summary: 'Issue a service’s certificate anew; nodes and doctors renew their own',
      allow: managers,
      params: Serial,
      body: z.object({ csr: z.string().max(8_000) }),
      answer: Issued,
    },
    async ({ params, body }) => ({ status: 201, body: await certificates.renewService(params.serial, body.csr) }),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/certificates/:serial/revoke',
      summary: 'Revoke a certificate; everybody hears of it within seconds. The one a node speaks with puts its hospital out',
      allow: managers,
      params: Serial,
      body: z.object({ code: RevocationReasonName, reason: z.string().trim().min(1).max(500) }),
      answer: CertificateRow,
    },
    ({ params, body }) => certificates.revoke(params.serial, body.code, body.reason),
  )
  openRoutes(face, parts)
}

/** For whoever has to judge a certificate, without an account: nothing in them is secret. */
function openRoutes(face: HttpFace, { db, certificates, authorityChain, formerAuthorities, now }: CertificateRouteParts): void {
  face.route(
    {
      method: 'GET',
      path: '/ca/status/:serial',
      summary: 'Whether a certificate counts now, as OCSP tells it: good, revoked or unknown',
      allow: 'anyone',
      params: Serial,
      answer: CertificateStatus,
      limit: { requests: 600, seconds: 60 },
    },
    ({ params }) => statusOf(db, params.serial, now()),
  )
  const pem = { method: 'GET', allow: 'anyone', produces: 'application/x-pem-file' } as const
  face.raw({ ...pem, path: '/ca/crl.pem', summary: 'The newest revocation list' }, async (_request, response) => {
    response.type('application/x-pem-file').send(await currentCrl(db))
  })
  face.raw({ ...pem, path: '/ca/chain.pem', summary: 'The region’s authority and the root' }, (_request, response) => {
    response.type('application/x-pem-file').send(authorityChain().join(''))
  })
  face.raw({ ...pem, path: '/ca/former.pem', summary: 'The region’s authorities of before a change of key, and the newest list of each' }, async (_request, response) => {
    response.type('application/x-pem-file').send([...formerAuthorities(), ...(await formerCrls(db))].join(''))
  })
  const readBody = express.raw({ type: 'application/timestamp-query', limit: 2_000 })
  face.raw(
    { method: 'POST', path: '/ca/tsa', summary: 'Time stamps by HTTP (RFC 3161 3.4)', allow: 'signed-in', produces: 'application/timestamp-reply' },
    async (request, response) => {
      await new Promise<void>((done, failed) => readBody(request, response, (error: unknown) => (error ? failed(error) : done())))
      const body: unknown = request.body
      if (!(body instanceof Uint8Array)) throw new Problem('request/unsupported-media', { expected: 'application/timestamp-query' })
      response.type('application/timestamp-reply').send(certificates.timeStamp(body))
    },
  )
}

async function overview({ db, authority, nats, now: clock }: CertificateRouteParts): Promise<z.infer<typeof Overview>> {
  const [now, { expires: authorityExpires, keyId }] = [clock(), authority()]
  const counts = await db.get<{ valid: number | null; expiring: number | null; expired: number | null; revoked: number | null }>(
    `SELECT SUM(CASE WHEN revoked_at IS NULL AND expires > $1 THEN 1 ELSE 0 END) AS "valid",
       SUM(CASE WHEN revoked_at IS NULL AND replaced_at IS NULL AND expires > $1 AND expires <= $2 THEN 1 ELSE 0 END) AS "expiring",
       SUM(CASE WHEN revoked_at IS NULL AND expires <= $1 THEN 1 ELSE 0 END) AS "expired",
       SUM(CASE WHEN revoked_at IS NOT NULL THEN 1 ELSE 0 END) AS "revoked" FROM certificate`,
    [now, now + EXPIRING_MS],
  )
  const list = await db.get<{ number: number; issuedAt: number }>('SELECT number, issued_at AS "issuedAt" FROM revocation_list ORDER BY number DESC LIMIT 1')
  const former = await db.get<{ count: number }>('SELECT COUNT(*) AS "count" FROM hospital h JOIN certificate c ON c.serial = h.current_serial WHERE c.authority <> $1', [keyId])
  const figure = (value: number | null | undefined) => Number(value ?? 0)
  return {
    valid: figure(counts?.valid), expiring: figure(counts?.expiring), expired: figure(counts?.expired), revoked: figure(counts?.revoked),
    crlNumber: list?.number ?? null, crlIssuedAt: list?.issuedAt ?? null,
    authorityExpires, onFormerAuthority: figure(former?.count), nats: nats(),
  } // prettier-ignore
}
