import { Buffer } from 'node:buffer'
import { createTimeStampRequest, parseTimeStampToken, sm3, tokenOfResponse, verifyTimeStamp, type TrustStore } from 'pki'
import type { Log } from 'service-kit'
import { HUB, isProblem, parseWith, Problem, services, TimeStampCallAnswer, type EpochMs, type Opinion } from 'specs'
import type { Region } from '../region/region.ts'

const CALL_TIMEOUT_MS = 3_000

/** What the time stamp of an opinion is over: the signature that counts most. */
export const stampedSignature = ({ author, signature }: Pick<Opinion, 'author' | 'signature'>): Uint8Array => Buffer.from(author?.signature ?? signature, 'base64')

/**
 * Asks the region when it is. Signing waits a moment for the answer and goes on without it: a stamp can be had later, and says then
 * that the signature existed by then.
 *
 * @param signature what is stamped. @returns the token in base64, undefined when there is none to be had now.
 */
export async function timeStampOf(region: Region, log: Log, signature: Uint8Array): Promise<string | undefined> {
  const { trust } = region
  if (!trust || !region.isConnected) return undefined
  const digest = sm3(signature)
  const { request, nonce } = createTimeStampRequest(digest)
  try {
    const call = { request: Buffer.from(request).toString('base64') }
    const answer = parseWith(TimeStampCallAnswer, await region.line.request(HUB, services.timeStamp, call, { timeoutMs: CALL_TIMEOUT_MS }), services.timeStamp)
    const token = tokenOfResponse(Buffer.from(answer.response, 'base64'))
    if (token.nonce !== nonce) throw new Problem('time-stamp/invalid', { reason: 'nonce' })
    verifyTimeStamp(trust, token, digest)
    return Buffer.from(token.bytes).toString('base64')
  } catch (error) {
    if (!isProblem(error)) throw error
    log.warn({ code: error.code, ...error.facts }, 'no time stamp')
    return undefined
  }
}

/** The moment a token vouches for; undefined for one that is not genuine or not over this signature. */
export function stampedAt(trust: TrustStore, token: string, signature: Uint8Array): EpochMs | undefined {
  try {
    return verifyTimeStamp(trust, parseTimeStampToken(Buffer.from(token, 'base64')), sm3(signature)).at
  } catch (error) {
    if (isProblem(error)) return undefined
    throw error
  }
}
