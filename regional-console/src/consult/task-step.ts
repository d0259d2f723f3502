import type { ConsultState, HospitalRow, TaskRow } from 'specs'

/** States in which somebody still has something to do. */
export const openStates: readonly ConsultState[] = ['submitted', 'accepted', 'started', 'signed', 'returned']

/** The way of a consultation that goes well; a cancelled or declined one leaves it. */
export const path: readonly ConsultState[] = ['submitted', 'accepted', 'started', 'signed', 'returned', 'read']

/** How far along the way a task is, 0-based; -1 when it left the way. */
export function stepOf(state: ConsultState): number {
  return path.indexOf(state)
}

export function isOpen(task: TaskRow): boolean {
  return openStates.includes(task.state)
}

/** A hospital's name where the registry knows it, otherwise its identifier. */
export function nameOf(hospitals: readonly HospitalRow[], id: string): string {
  return hospitals.find((hospital) => hospital.id === id)?.name ?? id
}

export function submittedToday(tasks: readonly TaskRow[], now: number): number {
  const midnight = new Date(now).setHours(0, 0, 0, 0)
  return tasks.filter((task) => task.createdAt >= midnight).length
}
