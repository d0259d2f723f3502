import type { Request } from 'express'
import { Problem } from 'specs'
import { hasRight, type Allow, type Authenticator, type SignedIn } from './user.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Only scripts of our own pages can set it; a form or a link of another site cannot. */
export const CSRF_HEADER = 'x-requested-with'
export const CSRF_VALUE = 'lianpian'

/** Decides at the door: nobody gets further without the right that the route names. */
export async function admit(request: Request, allow: Allow, accounts: Authenticator | undefined): Promise<SignedIn | undefined> {
  if (allow === 'anyone') return optional(request, accounts)
  const signedIn = await accounts?.signedIn(request)
  if (signedIn === undefined) throw new Problem('access/not-signed-in')
  if (signedIn.by === 'cookie' && !SAFE_METHODS.has(request.method) && request.get(CSRF_HEADER) !== CSRF_VALUE) {
    throw new Problem('access/forbidden', { missingHeader: 'X-Requested-With: lianpian' })
  }
  if (allow !== 'signed-in' && !allow.some((right) => hasRight(signedIn.user, right))) throw new Problem('access/forbidden', { allow })
  return signedIn
}

/** An open route serves a visitor whose old token has ended all the same. */
async function optional(request: Request, accounts: Authenticator | undefined): Promise<SignedIn | undefined> {
  try {
    return await accounts?.signedIn(request)
  } catch (error) {
    if (error instanceof Problem && error.code === 'access/not-signed-in') return undefined
    throw error
  }
}
