import type { Scope } from './rights.ts'

/** Where something is done. What is not said is not known. */
export interface Place {
  readonly campus?: string
  readonly department?: string
  /** 区域标识 (REG-21). */
  readonly area?: string
  readonly modality?: string
  readonly queue?: string
}

/** Whether the place lies within the scope. A limit on what the place does not tell is not met: deny by default. */
export function isWithin(scope: Scope, place: Place): boolean {
  const meets = (allowed: readonly string[] | undefined, value: string | undefined) =>
    allowed === undefined || (value !== undefined && allowed.includes(value))
  return (
    meets(scope.campuses, place.campus) &&
    meets(scope.departments, place.department) &&
    meets(scope.areas, place.area) &&
    meets(scope.modalities, place.modality) &&
    meets(scope.queues, place.queue)
  )
}
