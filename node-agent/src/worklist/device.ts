import type { DeviceRights } from '../access/policy/subject.ts'

/** What a calling AE title is registered for, as far as the worklist asks. */
export interface WorklistDevice {
  readonly rights: DeviceRights
  /** Only what is scheduled for it, or for no device in particular. */
  readonly ownWorklist: boolean
}
