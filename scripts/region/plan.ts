import { createServer } from 'node:net'
import { AeTitle, FlowMode, HospitalId, HospitalKind, HubRole, NodeRole, RegionId, TaskType } from 'specs'
import { z } from 'zod'

const port = z.number().int().min(0).max(65_535)

/** A region on one machine. Port 0 means: any free one. */
export const RegionPlan = z.strictObject({
  regionId: RegionId,
  regionName: z.string(),
  host: z.string().default('127.0.0.1'),
  hubPort: port,
  natsPort: port,
  heartbeatMs: z.number().int().default(5_000),
  logLevel: z.enum(['debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Of one account at each service; tests that knock at every door with everything need more than a person does. */
  searchesPerMinute: z.number().int().optional(),
  hubAccounts: z.array(z.strictObject({ username: z.string(), name: z.string(), roles: z.array(HubRole) })),
  /** AE titles that may reach every hospital from this machine. */
  dicomPeers: z.array(z.strictObject({ aeTitle: AeTitle, description: z.string().default('') })).default([]),
  hospitals: z.array(
    z.strictObject({
      id: HospitalId,
      name: z.string(),
      code: z.string(),
      kinds: z.array(HospitalKind),
      taskTypes: z.array(TaskType),
      flowModes: z.array(FlowMode),
      httpPort: port,
      dicomPort: port,
      aeTitle: AeTitle,
      /** How this hospital reaches NATS when not by the address the hub tells, e.g. through a line that tests cut. */
      natsUrl: z.string().optional(),
      accounts: z.array(z.strictObject({ username: z.string(), name: z.string(), title: z.string().default(''), roles: z.array(NodeRole) })),
    }),
  ),
})
export type RegionPlan = z.output<typeof RegionPlan>
export type HospitalPlan = RegionPlan['hospitals'][number]

/** Every port of the plan with the name of what listens there. */
export function portsOf(plan: RegionPlan): { name: string; port: number }[] {
  return [
    { name: 'NATS (natsPort)', port: plan.natsPort },
    { name: '区域中心 hub (hubPort)', port: plan.hubPort },
    ...plan.hospitals.flatMap(({ name, httpPort, dicomPort }) => [
      { name: `${name} HTTP (httpPort)`, port: httpPort },
      { name: `${name} DICOM (dicomPort)`, port: dicomPort },
    ]),
  ]
}

/** @returns the ports that somebody else holds */
export async function takenPorts(plan: RegionPlan): Promise<{ name: string; port: number }[]> {
  const taken = []
  for (const entry of portsOf(plan)) if (entry.port !== 0 && !(await isFree(plan.host, entry.port))) taken.push(entry)
  return taken
}

function isFree(host: string, candidate: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(candidate, host, () => server.close(() => resolve(true)))
  })
}

/** A free port of this machine. All are held open together, so that no two of a plan are the same. */
export async function withFreePorts(plan: RegionPlan): Promise<RegionPlan> {
  const servers: ReturnType<typeof createServer>[] = []
  const pick = async (wanted: number) => {
    if (wanted !== 0) return wanted
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, plan.host, resolve))
    servers.push(server)
    const address = server.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    return address.port
  }
  const picked: RegionPlan = { ...plan, natsPort: await pick(plan.natsPort), hubPort: await pick(plan.hubPort), hospitals: [] }
  for (const hospital of plan.hospitals) picked.hospitals.push({ ...hospital, httpPort: await pick(hospital.httpPort), dicomPort: await pick(hospital.dicomPort) })
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return picked
}
