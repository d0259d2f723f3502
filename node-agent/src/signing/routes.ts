import type { Database, HttpFace } from 'service-kit'
import { EpochMs, Problem, RevocationReasonName, SigningKeyState } from 'specs'
import { z } from 'zod'
import { listKeys, type SigningKeyRow } from './key-store.ts'
import type { OwnKeys } from './own-keys.ts'
import type { SigningPerson } from './signer.ts'

const KeyRow = z.object({
  keyId: z.string(),
  userId: z.string(),
  name: z.string(),
  title: z.string(),
  createdAt: EpochMs,
  serial: z.string().nullable(),
  expires: EpochMs.nullable(),
  endedAt: EpochMs.nullable(),
  endReason: z.string().nullable(),
})

const shown = ({ keyId, userId, name, title, createdAt, serial, expires, endedAt, endReason }: SigningKeyRow) => ({
  keyId, userId, name, title, createdAt, serial, expires, endedAt, endReason,
}) // prettier-ignore

/** Signing keys: each doctor's own, and all of them for the security administrator. */
export function addSigningRoutes(face: HttpFace, { keys, db }: { keys: OwnKeys; db: Database }): void {
  const personOf = (user: SigningPerson['user'], sessionId: string | undefined): SigningPerson => {
    if (sessionId === undefined) throw new Problem('access/not-signed-in')
    return { user, sessionId }
  }
  face.route(
    { method: 'GET', path: '/api/signing-key', summary: 'Whether my next signature asks for my password; my signing certificate', allow: 'signed-in', answer: SigningKeyState },
    ({ user, sessionId }) => keys.state(personOf(user, sessionId)),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/signing-key/unlock',
      summary: 'Show my password again, so that I may sign for a while in this session; the key is made at the first time',
      allow: ['consult.process', 'report.write', 'report.review'],
      body: z.object({ password: z.string().min(1).max(200) }),
      answer: SigningKeyState,
      limit: { requests: 30, seconds: 60 },
    },
    ({ user, sessionId, body, request }) =>
      keys.unlock(personOf(user, sessionId), body.password, { address: request.ip ?? '', device: request.get('user-agent') ?? '' }),
  )
  face.route({ method: 'POST', path: '/api/signing-key/lock', summary: 'No more signatures in this session without my password', allow: 'signed-in' }, ({ sessionId }) => {
    if (sessionId !== undefined) keys.lock(sessionId)
  })
  face.route(
    { method: 'GET', path: '/api/signing-keys', summary: 'Signing keys of this hospital, newest first', allow: ['certificate.manage', 'security.overview'], answer: z.array(KeyRow) },
    async () => (await listKeys(db)).map(shown),
  )
  face.route(
    { method: 'GET', path: '/api/signing-keys/own', summary: 'My signing keys, newest first', allow: 'signed-in', answer: z.array(KeyRow) },
    async ({ user }) => (await listKeys(db, user.id)).map(shown),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/signing-keys/:keyId/revoke',
      summary: 'End a signing key; the region revokes its certificate, what it signed stays signed',
      allow: ['certificate.manage'],
      params: z.object({ keyId: z.uuid() }),
      body: z.object({ reason: RevocationReasonName.default('unspecified') }),
      answer: z.object({ ended: z.boolean() }),
    },
    async ({ params, body }) => ({ ended: await keys.end(params.keyId, body.reason) }),
  )
}
