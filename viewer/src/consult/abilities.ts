import type { ConsultDetail, Right } from 'specs'

export interface Reader {
  readonly userId: string
  readonly hospitalId: string
  readonly rights: readonly Right[]
}

/** What the reader may do now; the hub decides again, this only keeps useless buttons away. */
export interface Abilities {
  readonly claim: boolean
  readonly release: boolean
  readonly decline: boolean
  /** Write and sign: the reader holds the case. */
  readonly write: boolean
  /** Somebody else holds it (COR-15). */
  readonly heldByOther: boolean
}

type Task = Pick<ConsultDetail, 'side' | 'state' | 'holder' | 'pending'>

export function abilitiesOf(task: Task, reader: Reader): Abilities {
  const isExpert = task.side === 'processor' && reader.rights.includes('consult.process')
  const isHolder = task.holder?.userId === reader.userId && task.holder.hospitalId === reader.hospitalId
  const isWorking = task.state === 'accepted' || task.state === 'started'
  const idle = task.pending === null
  return {
    claim: isExpert && idle && task.state === 'submitted' && !task.holder,
    decline: isExpert && idle && task.state === 'submitted' && !task.holder,
    release: isExpert && idle && isWorking && isHolder,
    write: isExpert && isWorking && isHolder,
    heldByOther: task.side === 'processor' && isWorking && task.holder !== null && !isHolder,
  }
}

/** The reader holds the case and the hub does not know yet that it is being read (处理中). */
export function mustStart(task: Task, reader: Reader): boolean {
  return task.state === 'accepted' && abilitiesOf(task, reader).write && task.pending === null
}

/** A doctor of the submitting hospital sees a returned opinion for the first time. */
export function mustMarkRead(task: Task & Pick<ConsultDetail, 'opinion'>, reader: Reader): boolean {
  return (
    task.side === 'submitter' &&
    task.state === 'returned' &&
    task.opinion !== null &&
    task.pending === null &&
    reader.rights.includes('consult.apply')
  )
}
