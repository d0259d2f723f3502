import type { Request } from 'express'
import { Problem } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import type { SignedIn, User } from '../../http/user.ts'
import type { Accounts } from '../accounts.ts'
import { originOf, pageAddressOf } from '../session/routes.ts'
import { WebAuthnCreation } from './webauthn.ts'

const Name = z.string().trim().min(1).max(40)
const Ticket = z.string().regex(/^[\w-]{20,100}$/)
const Enrolled = z.object({ id: z.string(), recoveryCodes: z.array(z.string()).optional() })
const Begin = z.object({ password: z.string().max(200).optional() })

/**
 * The own second factors. The first one is added with the password; every further step asks for a session that has shown a second
 * factor, so that a found browser cannot take an account over.
 */
export function addSecondFactorRoutes(face: HttpFace, accounts: Accounts): void {
  const { factors, sessions, signIns } = accounts
  const own = { allow: 'signed-in', unfinished: true } as const

  const requireStrong = (signedIn: SignedIn | undefined) => {
    // A program has a key and no factors: codes for it would be a way in that nobody knows of.
    if (!signedIn?.strong || signedIn.by === 'signature') throw new Problem('access/second-factor-needed')
  }
  const admitEnrolment = async (request: Request, signedIn: SignedIn | undefined, user: User, password: string | undefined) => {
    if ((await factors.list(user.id)).length > 0) return requireStrong(signedIn)
    // Whoever came by the hospital's sign-in has shown no password here.
    if (user.authMethod !== 'oidc') await signIns.confirmPassword(user.username, password ?? '', originOf(request))
  }
  /** A session in which the first factor was just shown counts as strong from now on. */
  const strengthen = async (sessionId: string | undefined, authMethod: 'password+totp' | 'password+webauthn') => {
    if (sessionId !== undefined) await sessions.strengthen(sessionId, authMethod)
  }

  face.route(
    {
      method: 'GET',
      path: '/api/second-factors',
      summary: 'My second factors',
      ...own,
      answer: z.object({
        factors: z.array(z.object({ id: z.string(), kind: z.enum(['totp', 'webauthn']), name: z.string(), createdAt: z.number(), lastUsedAt: z.number().nullable() })),
        recoveryCodesLeft: z.number(),
        demanded: z.enum(['optional', 'administrators', 'everyone']),
      }),
    },
    async ({ user }) => ({ factors: await factors.list(user.id), recoveryCodesLeft: await factors.recoveryCodesLeft(user.id), demanded: accounts.secondFactor }),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/second-factors/totp/begin',
      summary: 'Begin with an app for one-time codes; `qr` is a picture as data URI',
      ...own,
      body: Begin,
      answer: z.object({ ticket: z.string(), uri: z.string(), secret: z.string(), qr: z.string() }),
    },
    async ({ user, body, request, signedIn }) => {
      await admitEnrolment(request, signedIn, user, body.password)
      return factors.totp.begin(user)
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/second-factors/totp',
      summary: 'Show the first code; recovery codes are answered this once with the first factor',
      ...own,
      body: z.object({ ticket: Ticket, code: z.string().max(20), name: Name }),
      answer: Enrolled,
      limit: { requests: 20, seconds: 60 },
    },
    async ({ user, body, sessionId }) => {
      const added = await factors.add(user, { kind: 'totp', name: body.name, ...(await factors.totp.finish(user.id, body.ticket, body.code)) })
      await strengthen(sessionId, 'password+totp')
      return { status: 201, body: added }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/second-factors/webauthn/begin',
      summary: 'Begin with a security key: options for navigator.credentials.create()',
      ...own,
      body: Begin,
      answer: z.object({ ticket: z.string(), options: z.looseObject({}) }),
    },
    async ({ user, body, request, signedIn }) => {
      await admitEnrolment(request, signedIn, user, body.password)
      return factors.webauthn.begin(user, pageAddressOf(request))
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/second-factors/webauthn',
      summary: 'What the security key made; recovery codes are answered this once with the first factor',
      ...own,
      body: z.object({ ticket: Ticket, name: Name, credential: WebAuthnCreation }),
      answer: Enrolled,
      maxBodyBytes: 65_536,
    },
    async ({ user, body, sessionId, request }) => {
      const made = await factors.webauthn.finish(user.id, body.ticket, body.credential, pageAddressOf(request))
      const added = await factors.add(user, { kind: 'webauthn', name: body.name, ...made })
      await strengthen(sessionId, 'password+webauthn')
      return { status: 201, body: added }
    },
  )
  face.route(
    { method: 'POST', path: '/api/second-factors/recovery-codes', summary: 'New recovery codes, answered this once', ...own, answer: z.object({ recoveryCodes: z.array(z.string()) }) },
    async ({ user, signedIn }) => {
      requireStrong(signedIn)
      return { recoveryCodes: await factors.renewRecoveryCodes(user) }
    },
  )
  face.route(
    { method: 'DELETE', path: '/api/second-factors/:id', summary: 'Remove one of my second factors', ...own, params: z.object({ id: z.string().max(64) }) },
    async ({ user, params, signedIn }) => {
      requireStrong(signedIn)
      await factors.remove(user, params.id)
    },
  )
}
