import { scopesOf } from 'service-kit'
import type { ExamPlacement, Right, Scope } from 'specs'
import type { Person } from '../access/access-control.ts'

const lists = [
  ['campus', 'campuses'],
  ['department', 'departments'],
  ['area', 'areas'],
] as const satisfies readonly (readonly [keyof ExamPlacement, keyof Scope])[]

/** Where an exam belongs that says nothing: to the one place where its registrar works. Several places leave it open. */
export function withDefaultPlace<T extends Pick<ExamPlacement, 'campus' | 'department' | 'area'>>(person: Person, right: Right, given: T): T {
  const scopes = scopesOf(person, right)
  const filled = { ...given }
  for (const [field, list] of lists) {
    if (filled[field] !== '') continue
    const named = new Set(scopes.flatMap((scope) => scope[list] ?? ['']))
    const [only] = named
    if (named.size === 1 && only !== undefined && only !== '') filled[field] = only
    else if (field === 'campus' && person.campus !== undefined) filled.campus = person.campus
  }
  return filled
}
