import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadConfig } from 'service-kit'
import { RegionPlan, withFreePorts } from '../../scripts/region/plan.ts'
import type { Place } from '../../scripts/region/place.ts'
import { Region } from '../../scripts/region/region.ts'
import { root } from '../../scripts/run.mjs'

export interface TestRegionOptions {
  /** Only these hospitals of the demo plan. */
  hospitals?: string[]
  heartbeatMs?: number
  /** Services with networks of their own. */
  places?: Record<string, Place>
  change?: (plan: RegionPlan) => RegionPlan | Promise<RegionPlan>
}

/** The demo region on free ports in a temporary folder, with quick heartbeats; `close` stops and removes everything. */
export async function startTestRegion({ hospitals, heartbeatMs = 1_000, places = {}, change = (plan) => plan }: TestRegionOptions = {}): Promise<Region & { close(): Promise<void> }> {
  const demo = loadConfig(RegionPlan, { file: join(root, 'region.config.jsonc'), prefix: 'LIANPIAN_TEST_REGION_' })
  const chosen = demo.hospitals.filter(({ id }) => hospitals === undefined || hospitals.includes(id))
  const free = await withFreePorts({ ...demo, heartbeatMs, logLevel: 'info', hubPort: 0, natsPort: 0, hospitals: chosen.map((hospital) => ({ ...hospital, httpPort: 0, dicomPort: 0 })) })
  const plan = await change(free)
  const dir = mkdtempSync(join(tmpdir(), 'lianpian-region-'))
  const region = new Region(plan, { dir, places })
  const close = async () => {
    await region.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    await region.start()
  } catch (error) {
    await close()
    throw error
  }
  return Object.assign(region, { close })
}

/** Asks again until the answer holds; a scenario waits for facts, never for time alone. */
export async function eventually<T>(what: string, ask: () => Promise<T | undefined | false>, timeoutMs = 30_000): Promise<T> {
  const deadline = Date.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const answer = await ask()
      if (answer !== undefined && answer !== false) return answer
      last = answer
    } catch (error) {
      last = error
    }
    if (Date.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`, { cause: last })
    await sleep(100)
  }
}
