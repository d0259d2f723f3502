import { ApiProblem, problemText as textOf } from 'page-kit'
import type { ProblemDetails } from 'specs'
import { detailsOfAnswer } from './answer-details.ts'

/** Any failure as problem details; a request that got no answer is a matter of this network, not of the region. */
export function detailsOf(error: unknown): ProblemDetails {
  if (error instanceof ApiProblem) return error.cause instanceof TypeError ? detailsOfAnswer(0, undefined) : error.details
  const text = error instanceof Error ? error.message : String(error)
  return { type: 'urn:lianpian:problem:viewer/failed', code: 'viewer/failed', title: text, titleEn: text, status: 0 }
}

/** What a person reads, in the language of the page. */
export function problemText(error: unknown, locale: string): string {
  return textOf(new ApiProblem(detailsOf(error)), locale)
}

export function titleOf(details: ProblemDetails, locale: string): string {
  return locale === 'en' ? details.titleEn : details.title
}
