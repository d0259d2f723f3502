import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startStorescp, storescu } from '../support/dcmtk.ts'
import { Modality } from '../support/modality.ts'
import { eventually, startTestRegion } from '../support/region.ts'
import { fixtureFolder } from '../support/story.ts'

/** SEC-15 with whole processes: what happens to the hospital's other systems when the imaging service is gone, or hangs. */
describe('when the imaging service fails, the hospital’s other systems', () => {
  let region: Awaited<ReturnType<typeof startTestRegion>>
  let folder: string
  let modality: Modality
  const hospital = () => region.hospital('hospital-a')
  const node = () => region.node('hospital-a')

  /** As HIS or an EMR calls our interface: with a time-out of its own, as every careful caller has. */
  async function callOfHis(): Promise<{ milliseconds: number; outcome: string }> {
    const began = performance.now()
    const outcome = await fetch(`${hospital().url}/api/exams?limit=1`, { signal: AbortSignal.timeout(3_000) }).then(
      ({ status }) => String(status),
      (error: unknown) => (error instanceof Error && error.cause instanceof Error && 'code' in error.cause ? String(error.cause.code) : error instanceof Error ? error.name : 'failed'),
    )
    return { milliseconds: performance.now() - began, outcome }
  }

  beforeAll(async () => {
    region = await startTestRegion({ hospitals: ['hospital-a'] })
    folder = mkdtempSync(join(tmpdir(), 'lianpian-modality-'))
    modality = new Modality('CT01', folder, 3)
  })
  afterAll(async () => {
    await modality?.stop()
    await region?.close()
    rmSync(folder, { recursive: true, force: true })
  })

  it('hear at once that it is not there, and the modality keeps what it could not send', async () => { // SEC-15
    modality.start(hospital().dicom)
    await eventually('the first images are acknowledged', async () => modality.acknowledged.size > 0)
    await node().stop()
    const before = modality.failedAssociations
    for (let call = 0; call < 5; call++) {
      const { milliseconds, outcome } = await callOfHis()
      expect(outcome).toBe('ECONNREFUSED')
      expect(milliseconds).toBeLessThan(1_000)
    }
    const began = performance.now()
    await expect(storescu(hospital().dicom, fixtureFolder('ct-head-tiny'))).rejects.toThrow()
    expect(performance.now() - began).toBeLessThan(3_000)
    await eventually('the modality has tried in vain', async () => modality.failedAssociations > before)
  })

  it('go on working with each other: images reach the hospital’s own PACS while ours is gone', async () => { // SEC-15
    const pacs = await startStorescp('PACS')
    try {
      await eventually('the PACS has them', () => storescu(pacs, fixtureFolder('ct-head-tiny')), 10_000)
      expect(pacs.received()).toBeGreaterThan(0)
    } finally {
      await pacs.stop()
    }
  })

  it('find everything as it was once it is back, and what the modality kept arrives, nothing twice, nothing missing', async () => { // SEC-15
    await node().start()
    await eventually('the modality has sent all its exams', async () => modality.acknowledged.size === 3, 60_000)
    await modality.stop()
    const doctor = await region.signIn('hospital-a', 'wang')
    for (const [study, instances] of modality.acknowledged) expect(await doctor.get<unknown[]>(`/dicom-web/studies/${study}/instances?limit=1000`)).toHaveLength(instances.size)
  })

  it('are held no longer than their own time-out when it hangs instead of ending, and it goes on where it was', async () => { // SEC-15
    const pid = node().pid
    if (pid === undefined) throw new Error('the node does not run')
    process.kill(pid, 'SIGSTOP')
    try {
      const [his, device] = await Promise.all([
        callOfHis(),
        (async () => {
          const began = performance.now()
          await expect(storescu(hospital().dicom, fixtureFolder('ct-head-tiny'), ['-to', '3', '-ta', '3', '-td', '3'])).rejects.toThrow()
          return performance.now() - began
        })(),
      ])
      expect(his.outcome).toBe('TimeoutError')
      expect(his.milliseconds).toBeLessThan(5_000)
      expect(device).toBeLessThan(12_000)
      const pacs = await startStorescp('PACS')
      await eventually('the PACS has them', () => storescu(pacs, fixtureFolder('ct-head-tiny')), 10_000)
      await pacs.stop()
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    await eventually('it answers again', async () => (await callOfHis()).outcome === '401')
    await sleep(200)
    await storescu(hospital().dicom, fixtureFolder('ct-head-tiny'))
  })

  it('do not lose it to one caller that asks too much: others are still answered', async () => { // SEC-15 SEC-09
    const greedy = Array.from({ length: 200 }, () => fetch(`${hospital().url}/openapi.json`).then((response) => response.arrayBuffer()).catch(() => undefined))
    const doctor = await region.signIn('hospital-a', 'wang')
    const began = performance.now()
    await doctor.get('/api/exams?limit=1')
    expect(performance.now() - began).toBeLessThan(10_000)
    await Promise.all(greedy)
  })
})
