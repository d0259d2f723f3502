import { Problem, type FlowMode, type HospitalId, type HospitalKind, type TaskType } from 'specs'

/** What the rules need to know of a hospital: what it is, what it may do, and whether it takes part at present. */
export interface Member {
  readonly id: HospitalId
  readonly name: string
  readonly kinds: readonly HospitalKind[]
  readonly taskTypes: readonly TaskType[]
  readonly flowModes: readonly FlowMode[]
  /** Holds a certificate that is not revoked. */
  readonly joined: boolean
  readonly revoked: boolean
}

/** The region's hospitals at one moment; rules ask it and never the database. */
export class Registry {
  readonly members: readonly Member[]
  readonly #byId: ReadonlyMap<string, Member>

  constructor(members: readonly Member[]) {
    this.members = members
    this.#byId = new Map(members.map((member) => [member.id, member]))
  }

  find(id: HospitalId): Member | undefined {
    return this.#byId.get(id)
  }

  /** @throws {Problem} region/unknown-hospital */
  read(id: HospitalId): Member {
    const member = this.find(id)
    if (!member) throw new Problem('region/unknown-hospital', { hospitalId: id })
    return member
  }

  /** Hospitals that can take a task of this type now: processors, joined, with the type enabled (FED-12, FED-13). */
  processorsOf(taskType: TaskType): Member[] {
    return this.members.filter((member) => whyNoProcessor(member, taskType) === undefined)
  }

  get dataCentres(): Member[] {
    return this.members.filter((member) => member.kinds.includes('data-centre') && member.joined)
  }
}

/** Why a hospital cannot process a task of this type; undefined if it can. */
export function whyNoProcessor(member: Member, taskType: TaskType): Problem | undefined {
  const facts = { hospitalId: member.id, hospitalName: member.name }
  if (!member.kinds.includes('processor')) return new Problem('region/not-a-processor', { ...facts, reason: 'kind' })
  if (member.revoked) return new Problem('region/not-a-processor', { ...facts, reason: 'revoked' })
  if (!member.joined) return new Problem('region/not-a-processor', { ...facts, reason: 'not-joined' })
  if (!member.taskTypes.includes(taskType)) return new Problem('region/task-type-disabled', { ...facts, taskType })
  return undefined
}
