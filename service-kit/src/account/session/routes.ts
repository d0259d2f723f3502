import type { CookieOptions, Request, Response } from 'express'
import { Credentials, Problem, Right } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import { rightsOf, type SignedIn, type User } from '../../http/user.ts'
import type { Accounts } from '../accounts.ts'
import { WebAuthnAnswer } from '../second-factor/webauthn.ts'
import type { SecondFactorNeeded } from '../sign-in/sign-in.ts'
import type { Origin, Session } from './sessions.ts'

const UserAnswer = z.object({
  id: z.string(),
  username: z.string(),
  name: z.string(),
  title: z.string(),
  roles: z.array(z.string()),
  /** Every right held somewhere: pages show what these allow, the service decides again. */
  rights: z.array(Right),
  department: z.string().optional(),
  campus: z.string().optional(),
  authMethod: z.string(),
})

/** As pages see who is signed in. */
export function answerOf(user: User): z.output<typeof UserAnswer> {
  const { entitlements: _, roles, ...rest } = user
  return { ...rest, roles: [...roles], rights: rightsOf(user) }
}

const SessionAnswer = z.looseObject({ token: z.string(), user: UserAnswer, must: z.literal('change-password').optional() })
const FactorNeeded = z.object({ secondFactorNeeded: z.array(z.enum(['totp', 'webauthn', 'recovery'])), ticket: z.string() })
const Ticket = z.string().regex(/^[\w-]{20,100}$/)
const SecondStep = z.object({
  ticket: Ticket,
  proof: z.union([
    z.strictObject({ totp: z.string().max(20) }),
    z.strictObject({ webauthn: WebAuthnAnswer }),
    z.strictObject({ recoveryCode: z.string().max(40) }),
  ]),
})
const SessionRowAnswer = z.object({
  id: z.string(),
  accountId: z.string(),
  username: z.string(),
  name: z.string(),
  createdAt: z.number(),
  lastActiveAt: z.number(),
  expiresAt: z.number(),
  address: z.string(),
  device: z.string(),
  authMethod: z.string(),
  strong: z.boolean(),
  /** The one that asks. */
  current: z.boolean(),
})
const byId = z.object({ id: z.string().max(64) })

export const originOf = (request: Request): Origin => ({ address: request.ip ?? 'unknown', device: (request.get('user-agent') ?? '').slice(0, 200) })
export const pageAddressOf = (request: Request) => ({ host: request.hostname, origin: `${request.protocol}://${request.get('host') ?? ''}` })

/** Signing in and out. The token also comes as a cookie that scripts cannot read: pages need nothing else, programs use Bearer. */
export function addSessionRoutes(face: HttpFace, accounts: Accounts, extra: () => Record<string, unknown>): void {
  const answer = (request: Request, response: Response, result: Session | SecondFactorNeeded) => {
    if ('secondFactorNeeded' in result) return { status: 202, body: { ...result } }
    setSessionCookie(accounts, request, response, result)
    const { token, user, must } = result
    return { status: 201, body: { ...extra(), token, user: answerOf(user), ...(must && { must }) } }
  }
  /** The browser's own former session ends when it begins another; a program's token is not the browser's. */
  const formerOf = (request: Request, sessionId: string | undefined) => (request.get('authorization') === undefined ? sessionId : undefined)

  face.route(
    {
      method: 'POST',
      path: '/api/sessions',
      summary: 'Sign in; 201 answers a token for `Authorization: Bearer` and sets the same as cookie, 202 asks for a second factor',
      allow: 'anyone',
      body: Credentials,
      answer: z.union([SessionAnswer, FactorNeeded]),
      maxBodyBytes: 4_096,
    },
    async ({ body, request, response, sessionId }) =>
      answer(request, response, await accounts.signIn(body.username, body.password, originOf(request), formerOf(request, sessionId))),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/sessions/second-factor',
      summary: 'Show the second factor with the ticket of the first step; 204 when it strengthens a session that there is',
      allow: 'anyone',
      body: SecondStep,
      answer: SessionAnswer,
      maxBodyBytes: 32_768,
    },
    async ({ body, request, response, sessionId }) => {
      const result = await accounts.signIns.bySecondFactor(body.ticket, body.proof, originOf(request), pageAddressOf(request), formerOf(request, sessionId))
      return 'strengthened' in result ? { status: 204 } : answer(request, response, result)
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/sessions/second-factor/webauthn-options',
      summary: 'What the browser asks the security key, for navigator.credentials.get()',
      allow: 'anyone',
      body: z.object({ ticket: Ticket }),
      answer: z.looseObject({}),
    },
    async ({ body, request }) => accounts.signIns.webauthnOptions(body.ticket, pageAddressOf(request)),
  )
  face.route(
    {
      method: 'POST',
      path: '/api/sessions/current/step-up',
      summary: 'Begin to show a second factor in the session that there is',
      allow: 'signed-in',
      unfinished: true,
      answer: FactorNeeded,
    },
    async ({ user, sessionId = '' }) => accounts.signIns.stepUp(user.id, sessionId),
  )
  face.route(
    {
      method: 'GET',
      path: '/api/sessions/current',
      summary: 'Who is signed in, what must be done first, and after how many minutes without doing anything it ends (0: never)',
      allow: 'signed-in',
      unfinished: true,
      passive: true,
      answer: z.looseObject({ user: UserAnswer, strong: z.boolean(), must: z.enum(['change-password', 'enrol-second-factor']).optional(), idleMinutes: z.number() }),
    },
    ({ user, signedIn }) => {
      const must = mustOf(accounts, signedIn)
      return { ...extra(), user: answerOf(user), strong: signedIn?.strong ?? false, idleMinutes: (signedIn?.idleMs ?? 0) / 60_000, ...(must && { must }) }
    },
  )
  face.route(
    {
      method: 'POST',
      path: '/api/sessions/current/activity',
      summary: 'Somebody is at the keyboard: pages tell it when reading needs no request',
      allow: 'signed-in',
      unfinished: true,
    },
    () => ({ status: 204 }),
  )
  face.route(
    { method: 'DELETE', path: '/api/sessions/current', summary: 'Sign out', allow: 'signed-in', unfinished: true },
    async ({ sessionId, request, response }) => {
      if (sessionId !== undefined) await accounts.signOut(sessionId)
      response.clearCookie(accounts.cookieNameFor(request), cookieOptions(request))
      return { status: 204 }
    },
  )
  addSessionLists(face, accounts)
}

/** Where somebody is signed in, and ending that from elsewhere. */
function addSessionLists(face: HttpFace, accounts: Accounts): void {
  const rows = async (accountId: string | undefined, current: string | undefined) =>
    (await accounts.sessions.list(accountId)).map((session) => ({ ...session, current: session.id === current }))

  face.route(
    // Passive: a page looks here whether it must warn, which must not keep alive what it warns of.
    { method: 'GET', path: '/api/sessions/own', summary: 'Where I am signed in', allow: 'signed-in', unfinished: true, passive: true, answer: z.array(SessionRowAnswer) },
    ({ user, sessionId }) => rows(user.id, sessionId),
  )
  face.route(
    { method: 'DELETE', path: '/api/sessions/own/:id', summary: 'End one of my sessions', allow: 'signed-in', unfinished: true, params: byId },
    async ({ user, params }) => {
      const own = (await accounts.sessions.list(user.id)).some(({ id }) => id === params.id)
      if (!own) throw new Problem('request/not-found', { what: 'session' })
      await accounts.sessions.end([params.id], 'remote')
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/sessions',
      summary: 'Who is signed in where, the newest first',
      allow: ['account.manage'],
      query: z.object({ accountId: z.string().max(64).optional() }),
      answer: z.array(SessionRowAnswer),
    },
    ({ query, sessionId }) => rows(query.accountId, sessionId),
  )
  face.route(
    { method: 'DELETE', path: '/api/sessions/:id', summary: "End somebody's session", allow: ['account.manage'], params: byId },
    async ({ params }) => {
      if ((await accounts.sessions.end([params.id], 'remote')).length === 0) throw new Problem('request/not-found', { what: 'session' })
    },
  )
  face.route(
    { method: 'POST', path: '/api/session-keys/rotate', summary: 'Sign session tokens with a new key; nobody is signed out', allow: ['certificate.manage'] },
    async () => {
      await accounts.rotateSessionKey()
    },
  )
}

function mustOf(accounts: Accounts, signedIn: SignedIn | undefined): 'change-password' | 'enrol-second-factor' | undefined {
  if (signedIn?.must !== undefined) return signedIn.must
  return accounts.secondFactor === 'everyone' && signedIn?.strong === false ? 'enrol-second-factor' : undefined
}

export function setSessionCookie(accounts: Accounts, request: Request, response: Response, { token, expiresAt }: Session): void {
  response.cookie(accounts.cookieNameFor(request), token, { ...cookieOptions(request), maxAge: expiresAt - Date.now() })
}

const cookieOptions = (request: Request): CookieOptions => ({ httpOnly: true, sameSite: 'strict', secure: request.secure, path: '/' })
