import { ApiProblem } from '../api/client.ts'

/** What a person reads when something was refused, in the language of the page. */
export function problemText(error: unknown, locale: string): string {
  if (error instanceof ApiProblem) {
    const { title, titleEn, detail, facts } = error.details
    const head = locale === 'en' && titleEn ? titleEn : title
    const issues = Array.isArray(facts?.['issues']) ? (facts['issues'] as { path: string; message: string }[]).map(({ path, message }) => `${path} ${message}`).join('；') : ''
    return [head, detail, issues].filter(Boolean).join('：')
  }
  return error instanceof Error ? error.message : String(error)
}
