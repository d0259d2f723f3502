import type { Request } from 'express'
import { isProblem } from 'specs'
import { z } from 'zod'
import type { HttpFace } from '../../http/index.ts'
import { cookieOf, type Accounts } from '../accounts.ts'
import { originOf, pageAddressOf, setSessionCookie } from '../session/routes.ts'

const VISIT_COOKIE = 'lianpian_visit'

/** What the sign-in page offers, and the way to the hospital's own sign-in and back. */
export function addOidcRoutes(face: HttpFace, accounts: Accounts): void {
  const { oidc, settings } = accounts
  const baseOf = (request: Request) => (settings.publicUrl ?? pageAddressOf(request).origin).replace(/\/$/, '')
  const pathOf = (provider: string) => `/api/oidc/${encodeURIComponent(provider)}`

  face.route(
    {
      method: 'GET',
      path: '/api/sign-in-methods',
      summary: 'Ways to sign in here; `href` of a hospital sign-in takes ?returnTo=',
      allow: 'anyone',
      answer: z.object({
        password: z.boolean(),
        oidc: z.array(z.object({ id: z.string(), name: z.string(), href: z.string() })),
        secondFactor: z.enum(['optional', 'administrators', 'everyone']),
      }),
    },
    () => ({ password: true, oidc: oidc.providers.map(({ id, name }) => ({ id, name, href: `${pathOf(id)}/sign-in` })), secondFactor: accounts.secondFactor }),
  )
  if (oidc.providers.length === 0) return

  const oneOf = (request: Request, name: string) => {
    const value = request.params[name]
    return typeof value === 'string' ? value : ''
  }
  face.raw(
    { method: 'GET', path: '/api/oidc/:provider/sign-in', summary: "To the hospital's sign-in", allow: 'anyone', produces: 'text/html' },
    async (request, response, _user, signedIn) => {
      const provider = oneOf(request, 'provider')
      const former = signedIn?.by === 'cookie' ? signedIn.sessionId : undefined
      const returnTo = typeof request.query['returnTo'] === 'string' ? request.query['returnTo'] : '/'
      const { address, visit, validMs } = await oidc.begin(provider, `${baseOf(request)}${pathOf(provider)}/callback`, returnTo, former)
      // Lax: the provider's answer comes from another site, and must find it.
      response.cookie(VISIT_COOKIE, visit, { httpOnly: true, sameSite: 'lax', secure: request.secure, path: pathOf(provider), maxAge: validMs })
      response.set('Cache-Control', 'no-store').redirect(302, address)
    },
  )
  face.raw(
    { method: 'GET', path: '/api/oidc/:provider/callback', summary: "Back from the hospital's sign-in", allow: 'anyone', produces: 'text/html' },
    async (request, response) => {
      const provider = oneOf(request, 'provider')
      const visit = cookieOf(request.get('cookie') ?? '', VISIT_COOKIE) ?? ''
      response.clearCookie(VISIT_COOKIE, { path: pathOf(provider) }).set('Cache-Control', 'no-store')
      const destination = await oidc.destinationOf(visit)
      try {
        const { session, returnTo } = await oidc.finish(provider, new URL(request.originalUrl, `${baseOf(request)}/`), visit, originOf(request))
        setSessionCookie(accounts, request, response, session)
        response.redirect(302, returnTo)
      } catch (error) {
        // A person sits before the browser: the sign-in page says it in words.
        if (!isProblem(error)) throw error
        response.redirect(302, withRefusal(destination, error.code))
      }
    },
  )
}

/** @param path Of ours, with what it asks for. */
function withRefusal(path: string, code: string): string {
  const address = new URL(path, 'http://ours')
  address.searchParams.set('signIn', code)
  return `${address.pathname}${address.search}`
}
