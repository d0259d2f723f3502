import { Holder, type ProblemDetails } from 'specs'

export interface NamedHolder {
  readonly hospitalId: string
  readonly name: string
  readonly hospitalName: string
  readonly since: number
}

/** The colleague who was quicker, as the refusal of a claim names them (COR-15); undefined when it says something else. */
export function holderIn(refusal: ProblemDetails | undefined): NamedHolder | undefined {
  if (refusal?.code !== 'consult/held') return undefined
  const by = refusal.facts?.['by'] as Record<string, unknown> | undefined
  const holder = Holder.safeParse(by)
  const hospitalName = by?.['hospitalName']
  return holder.success ? { ...holder.data, hospitalName: typeof hospitalName === 'string' ? hospitalName : holder.data.hospitalId } : undefined
}
