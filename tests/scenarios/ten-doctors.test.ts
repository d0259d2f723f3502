import { randomInt } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ConsultDetail, ConsultRow, ExamRow, TaskDetail, TaskRow } from 'specs'
import type { ApiUser } from '../../scripts/region/api.ts'
import { ProblemDetailsError } from '../../scripts/region/problem-details-error.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { consultOf, sendStudy, sign, stepsOf, submit } from '../support/story.ts'

interface Doctor {
  readonly name: string
  readonly hospitalId: string
  readonly username: string
  user: ApiUser
}

/** Four, three and three. The third hospital of the test is the demo's data centre, registered as a processor. */
const staff: Readonly<Record<string, readonly string[]>> = {
  'hospital-c': ['陈一', '陈二', '陈三', '陈四'],
  'hospital-b': ['李一', '李二', '李三'],
  'data-centre': ['周一', '周二', '周三'],
}
const hospitals = Object.keys(staff)
const usernameOf = (hospitalId: string, index: number) => `${hospitalId}-doctor-${index + 1}`
const poolSize = 30

function shuffled<T>(items: readonly T[]): T[] {
  const rest = [...items]
  return items.map(() => rest.splice(randomInt(rest.length), 1)[0]!)
}

/** COR-14 with whole processes: nats-server, hub, the submitter's node and the nodes of three processing hospitals. */
describe('ten doctors of three hospitals at one pool of thirty tasks', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let exam: ExamRow
  let wang: ApiUser
  const doctors: Doctor[] = []
  const taskIds: string[] = []
  const conflicts: ProblemDetailsError[] = []

  beforeAll(async () => {
    region = await startTestRegion({
      hospitals: ['hospital-a', ...hospitals],
      change: (plan) => ({
        ...plan,
        hospitals: plan.hospitals.map((hospital) => {
          const names = staff[hospital.id]
          if (!names) return hospital
          const admins = hospital.accounts.filter(({ roles }) => roles.includes('admin'))
          const experts = names.map((name, index) => ({ username: usernameOf(hospital.id, index), name, title: '主任医师', roles: ['doctor', 'expert'] as ('doctor' | 'expert')[] }))
          return { ...hospital, kinds: ['processor'] as 'processor'[], taskTypes: ['consultation'] as 'consultation'[], accounts: [...admins, ...experts] }
        }),
      }),
    })
    exam = await sendStudy(region, 'hospital-a', 'mr-overlay', 1)
    wang = await region.signIn('hospital-a', 'wang')
    for (const hospitalId of hospitals) {
      for (const [index, name] of staff[hospitalId]!.entries()) {
        const username = usernameOf(hospitalId, index)
        doctors.push({ name, hospitalId, username, user: await region.signIn(hospitalId, username) })
      }
    }
    for (let n = 0; n < poolSize; n++) taskIds.push(await submit(wang, { exam, mode: 'pull', target: { kind: 'pool' }, question: `第${n + 1}例` }))
    for (const hospitalId of hospitals) await eventually(`${hospitalId} is offered all tasks`, async () => (await listed(hospitalId)).length === poolSize)
  })
  afterAll(() => region?.close())

  const oneOf = (hospitalId: string) => doctors.find((doctor) => doctor.hospitalId === hospitalId)!.user
  const listed = async (hospitalId: string) => (await oneOf(hospitalId).get<{ rows: ConsultRow[] }>('/api/consults?side=processor&limit=200')).rows
  const isBy = (row: Pick<ConsultRow, 'holder'>, { hospitalId, name }: Doctor) => row.holder?.hospitalId === hospitalId && row.holder.name === name

  /** Presses 接收 as a person does: when the answer is late, looks whose it became, and hears of it at the next press. */
  async function take(doctor: Doctor, taskId: string): Promise<boolean> {
    for (;;) {
      try {
        await doctor.user.send<ConsultRow>('POST', `/api/consults/${taskId}/claim`, {})
        const settled = await eventually(`${doctor.name} has an answer`, async () => {
          const row = await consultOf(doctor.user, taskId)
          return row.pending === null && row.holder !== null && row
        })
        if (isBy(settled, doctor)) return true
      } catch (error) {
        if (!(error instanceof ProblemDetailsError)) throw error
        conflicts.push(error)
        return false
      }
    }
  }

  /** Every doctor goes through the tasks, all ten at the same time. @returns who holds what, as the doctors were told. */
  async function race(tasks: readonly string[], { sameOrder }: { sameOrder: boolean }): Promise<Map<string, Doctor[]>> {
    const winners = new Map<string, Doctor[]>(tasks.map((taskId) => [taskId, []]))
    const attempt = async (doctor: Doctor, taskId: string) => {
      if (await take(doctor, taskId)) winners.get(taskId)!.push(doctor)
    }
    if (sameOrder) for (const taskId of tasks) await Promise.all(shuffled(doctors).map((doctor) => attempt(doctor, taskId)))
    else await Promise.all(doctors.map(async (doctor) => { for (const taskId of shuffled(tasks)) await attempt(doctor, taskId) }))
    return winners
  }

  const holderAtHub = async (hub: ApiUser) => new Map((await hub.get<{ rows: TaskRow[] }>('/api/tasks?limit=500')).rows.map((row) => [row.taskId, row]))

  /** The doctors, the hub, every hospital and every time line say the same. */
  async function agree(winners: ReadonlyMap<string, Doctor[]>): Promise<void> {
    for (const holders of winners.values()) expect(holders).toHaveLength(1)
    const hub = await region.signInToHub()
    const atHub = await holderAtHub(hub)
    for (const [taskId, [doctor]] of winners) {
      expect(isBy(atHub.get(taskId)!, doctor!)).toBe(true)
      const { events } = await hub.get<TaskDetail>(`/api/tasks/${taskId}`)
      // Between two claims of a task there is always a release.
      expect(events.map(({ type }) => type).filter((type) => type === 'claimed' || type === 'released').join(' ')).toMatch(/^claimed( released claimed)*$/)
      const line = ({ events: steps }: Pick<ConsultDetail, 'events'>) => steps.map(({ revision, type, by }) => `${revision} ${type} ${by.hospitalId} ${by.name}`)
      for (const witness of [wang, ...hospitals.map(oneOf)]) {
        await eventually(`${witness.url} has the same time line of ${taskId}`, async () => {
          const consult = await consultOf(witness, taskId)
          return isBy(consult, doctor!) && line(consult).join() === line({ events }).join()
        })
      }
    }
  }

  it('lets exactly one hold each task, tells every other who it is, and the totals match everywhere', async () => { // COR-14, COR-15
    const together = await race(taskIds.slice(0, 10), { sameOrder: true })
    const crosswise = await race(taskIds.slice(10), { sameOrder: false })
    const winners = new Map([...together, ...crosswise])
    await agree(winners)
    expect(conflicts).toHaveLength(poolSize * (doctors.length - 1))
    for (const conflict of conflicts) {
      expect(conflict.code).toBe('consult/held')
      expect(conflict.details).toMatchObject({ facts: { by: { name: expect.any(String) as string, hospitalName: expect.any(String) as string, since: expect.any(Number) as number } } })
    }
    const lists = await Promise.all(hospitals.map(listed))
    for (const [index, rows] of lists.entries()) {
      // A case that another hospital took leaves the list.
      expect(rows.map(({ taskId }) => taskId).sort()).toEqual([...winners].filter(([, [doctor]]) => doctor!.hospitalId === hospitals[index]).map(([taskId]) => taskId).sort())
    }
    expect(lists.flat()).toHaveLength(poolSize)
  })

  it('opens released tasks to all ten again, keeps finished ones finished, and the totals still match', async () => { // COR-14, COR-19
    const hub = await region.signInToHub()
    const before = await holderAtHub(hub)
    const holderOf = (taskId: string) => doctors.find((doctor) => isBy(before.get(taskId)!, doctor))!
    const [released, finished] = [taskIds.slice(0, 8), taskIds.slice(8, 14)]
    await Promise.all(released.map((taskId) => holderOf(taskId).user.send('POST', `/api/consults/${taskId}/release`, { reason: '临时急诊' })))
    await Promise.all(finished.map((taskId) => sign(holderOf(taskId).user, taskId, [])))
    for (const taskId of released) {
      for (const hospitalId of hospitals) await eventually('everybody knows that it is open', async () => (await consultOf(oneOf(hospitalId), taskId)).state === 'submitted')
    }
    for (const taskId of finished) await eventually('the opinion is back', async () => (await consultOf(wang, taskId)).state === 'returned')

    conflicts.length = 0
    const winners = await race(released, { sameOrder: true })
    await agree(winners)
    expect(conflicts).toHaveLength(released.length * (doctors.length - 1))
    for (const { code } of conflicts) expect(code).toBe('consult/held')
    for (const taskId of finished) {
      const late = doctors.find((doctor) => doctor !== holderOf(taskId))!
      await expect(late.user.send('POST', `/api/consults/${taskId}/claim`, {})).rejects.toMatchObject({ code: expect.stringMatching(/^consult\/(held|not-open)$/) as string })
      expect(stepsOf(await consultOf(wang, taskId)).filter((type) => type === 'claimed')).toHaveLength(1)
    }
    const states = [...(await holderAtHub(hub)).values()].map(({ state }) => state)
    expect([states.filter((state) => state === 'accepted').length, states.filter((state) => state === 'returned').length]).toEqual([poolSize - finished.length, finished.length])
    expect((await Promise.all(hospitals.map(listed))).flat()).toHaveLength(poolSize)
  })
})
