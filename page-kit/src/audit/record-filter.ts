import type { AuditAction, AuditOutcome } from 'specs'

/** What the page asks the trail for; empty fields ask nothing. */
export interface RecordFilter {
  range: [number, number] | null
  action: AuditAction[]
  outcome: AuditOutcome | ''
  actorId: string
  objectId: string
  sourceIp: string
}

export const emptyFilter = (): RecordFilter => ({ range: null, action: [], outcome: '', actorId: '', objectId: '', sourceIp: '' })

/** As GET /api/audit/records and POST /api/audit/exports take it; a day that was chosen as the end counts to its last moment. */
export function queryOf({ range, action, ...rest }: RecordFilter): Record<string, string | number> {
  const texts = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, value.trim()]).filter(([, value]) => value !== ''))
  return { ...texts, ...(action.length > 0 && { action: action.join(',') }), ...(range && { from: range[0], until: range[1] }) }
}
