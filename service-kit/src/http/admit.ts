import type { Request } from 'express'
import { describeRight, Problem } from 'specs'
import { hasRight, type Allow, type Authenticator, type SignedIn } from './user.ts'

const SAFE_METHODS = new Set(['GET', 'HEAD', 'OPTIONS'])
/** Only scripts of our own pages can set it; a form or a link of another site cannot. */
export const CSRF_HEADER = 'x-requested-with'
export const CSRF_VALUE = 'lianpian'

/** What the door asks of a route. */
export interface Door {
  readonly allow: Allow
  /** Usable before the password was changed or the second factor shown: whatever serves to do just that. */
  readonly unfinished?: boolean
  /** Its requests are not a person's doing: they do not keep a session from becoming idle. */
  readonly passive?: boolean
}

/** A page that refreshes itself says so; without the header every request counts as a person's. */
export const BACKGROUND_HEADER = 'x-lianpian-background'

/**
 * Decides at the door: nobody gets further without the right that the route names, nor with a privileged one without the
 * second factor where the installation demands it.
 */
export async function admit(request: Request, door: Door, accounts: Authenticator | undefined): Promise<SignedIn | undefined> {
  const { allow } = door
  const passive = door.passive === true || request.get(BACKGROUND_HEADER) !== undefined
  if (allow === 'anyone') return optional(request, accounts)
  const signedIn = await accounts?.signedIn(request, { passive })
  if (signedIn === undefined) throw new Problem('access/not-signed-in')
  if (signedIn.by === 'cookie' && !SAFE_METHODS.has(request.method) && request.get(CSRF_HEADER) !== CSRF_VALUE) {
    throw new Problem('access/forbidden', { missingHeader: 'X-Requested-With: lianpian' })
  }
  if (signedIn.by === 'cookie' && isFromElsewhere(request)) throw new Problem('access/forbidden', { reason: 'another site' })
  if (allow !== 'signed-in' && !allow.some((right) => hasRight(signedIn.user, right))) throw new Problem('access/forbidden', { allow })
  if (!door.unfinished) refuseUnfinished(signedIn, allow, accounts?.secondFactor ?? 'optional')
  return signedIn
}

/**
 * Whether another site's page makes the browser ask, with our cookie in its hand: also by reading, since a picture or a stream that is
 * loaded there costs us and may tell by its size or time. `same-site` is another port or name beside us: the cookie knows no ports.
 * The browser's own judgement (Fetch Metadata) comes first; browsers without it say at least where the page is from.
 */
function isFromElsewhere(request: Request): boolean {
  const site = request.get('sec-fetch-site')
  if (site !== undefined) return site !== 'same-origin' && site !== 'none' && request.get('sec-fetch-mode') !== 'navigate'
  const origin = request.get('origin')
  if (origin === undefined) return false
  if (!URL.canParse(origin)) return true
  // request.host believes X-Forwarded-Host only behind a proxy that is believed; a proxy that rewrites Host keeps neither.
  return ![request.host, request.get('host')].includes(new URL(origin).host)
}

function refuseUnfinished(signedIn: SignedIn, allow: Exclude<Allow, 'anyone'>, demanded: Authenticator['secondFactor']): void {
  if (signedIn.must === 'change-password') throw new Problem('access/password-change-needed')
  if (signedIn.strong || demanded === 'optional') return
  // One right that needs no second factor is enough to come in; what else the visitor holds is not used then.
  const privileged = allow !== 'signed-in' && allow.filter((right) => hasRight(signedIn.user, right)).every((right) => describeRight(right).privileged === true)
  if (demanded === 'everyone' || privileged) throw new Problem('access/second-factor-needed', { demanded })
}

/** An open route serves a visitor whose old token has ended all the same. */
async function optional(request: Request, accounts: Authenticator | undefined): Promise<SignedIn | undefined> {
  try {
    return await accounts?.signedIn(request, { passive: true })
  } catch (error) {
    if (error instanceof Problem && error.code === 'access/not-signed-in') return undefined
    throw error
  }
}
