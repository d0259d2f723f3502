import type { CookieOptions, Request } from 'express'
import { Credentials, Right } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../http/index.ts'
import { rightsOf, type User } from '../http/user.ts'
import type { Accounts } from './accounts.ts'

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
function answerOf(user: User): z.output<typeof UserAnswer> {
  const { entitlements: _, roles, ...rest } = user
  return { ...rest, roles: [...roles], rights: rightsOf(user) }
}

/** Signing in and out. The token also comes as a cookie that scripts cannot read: pages need nothing else, programs use Bearer. */
export function addSessionRoutes(face: HttpFace, accounts: Accounts, extra: () => Record<string, unknown>): void {
  face.route(
    {
      method: 'POST',
      path: '/api/sessions',
      summary: 'Sign in; answers a token for `Authorization: Bearer` and sets the same as cookie',
      allow: 'anyone',
      body: Credentials,
      answer: z.looseObject({ token: z.string(), user: UserAnswer }),
      maxBodyBytes: 4_096,
    },
    async ({ body, request, response }) => {
      const { token, expiresAt, user } = await accounts.signIn(body.username, body.password, request.ip ?? 'unknown')
      response.cookie(accounts.cookieName, token, { ...cookieOptions(request), maxAge: expiresAt - Date.now() })
      return { status: 201, body: { ...extra(), token, user: answerOf(user) } }
    },
  )
  face.route(
    {
      method: 'GET',
      path: '/api/sessions/current',
      summary: 'Who is signed in',
      allow: 'signed-in',
      answer: z.looseObject({ user: UserAnswer }),
    },
    ({ user }: { user: User }) => ({ ...extra(), user: answerOf(user) }),
  )
  face.route(
    { method: 'DELETE', path: '/api/sessions/current', summary: 'Sign out', allow: 'signed-in' },
    async ({ sessionId, request, response }) => {
      if (sessionId !== undefined) await accounts.signOut(sessionId)
      response.clearCookie(accounts.cookieName, cookieOptions(request))
      return { status: 204 }
    },
  )
}

const cookieOptions = (request: Request): CookieOptions => ({ httpOnly: true, sameSite: 'strict', secure: request.secure, path: '/' })
