import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { DicomNode, type AcquisitionRun, type ForwardRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { A } from '../../node-agent/src/access/builders.ts'
import { fixture } from '../../node-agent/tests/interop/dimse-support.ts'
import { makeStudy, startDcmqrscp, type OlderPacs } from '../../node-agent/tests/interop/older-pacs.ts'
import { startDestination, type Destination } from '../../node-agent/tests/interop/retrieve-support.ts'
import { password, TestHospital } from '../../node-agent/tests/support/region.ts'
import type { ApiUser } from '../../scripts/region/api.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually } from '../support/region.ts'

let folder: string, hospital: TestHospital, pacs: OlderPacs, station: Destination, browser: Browser, admin: ApiUser

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-acquisition-page-'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', {})
  pacs = await startDcmqrscp({ aeTitle: 'TEST', host: '127.0.0.1', port: hospital.node.dimsePort })
  await pacs.fill([...(await makeStudy(folder, 1, 4)).files, ...(await makeStudy(folder, 2, 3)).files])
  station = await startDestination('STATION')
  admin = await hospital.signIn('admin')
  for (const { peer, description } of [{ peer: pacs.peer, description: '旧 PACS' }, { peer: station.peer, description: '读片站' }]) await admin.send('POST', '/api/dicom-nodes', DicomNode.parse({ ...peer, description }))
  browser = await launchBrowser()
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await station?.stop()
  await pacs?.stop()
  await hospital?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function choose(page: Page, select: string, text: string): Promise<void> {
  await page.getByTestId(select).click()
  await page.locator('.el-select-dropdown__item', { hasText: text }).locator('visible=true').first().click()
  await page.keyboard.press('Escape').catch(() => undefined)
}

describe('the pages of acquisition, import and routing', () => {
  it('are worked with by clicking, from an empty hospital to delivered images, on desktop and phone', async () => {
    // ARC-04, ARC-17
    const { page, errors } = await openPerson(browser)
    await signInOnPage(page, `${hospital.url}/desk/archive/routing`, 'admin', password)
    await page.goto(`${hospital.url}/desk/archive/routing`)
    await page.getByTestId('route-add').click()
    await page.getByTestId('route-name').fill('CT 送读片站')
    await choose(page, 'route-modalities', 'CT')
    await page.getByTestId('route-name').click()
    await page.getByTestId('route-nodes').click()
    await page.locator('.el-select-dropdown__item', { hasText: 'STATION' }).locator('visible=true').click()
    await page.getByTestId('route-name').click()
    await picture(page, 'routing-form')
    await page.getByTestId('route-save').click()
    await page.getByTestId('route-table').getByText('CT 送读片站').waitFor()
    await page.getByTestId('route-remove').click()
    await page.getByRole('button', { name: '撤销' }).click()
    await page.getByTestId('route-table').getByText('CT 送读片站').waitFor()
    await picture(page, 'routing-rules')

    await page.goto(`${hospital.url}/desk/archive/acquisition`)
    await page.getByTestId('job-add').click()
    await page.getByTestId('job-name').fill('取回旧片')
    await choose(page, 'job-source', 'OLDPACS')
    await page.getByText('不限', { exact: true }).click()
    await page.getByText('手动', { exact: true }).click()
    await picture(page, 'acquisition-form')
    await page.getByTestId('job-save').click()
    await page.getByTestId('run-取回旧片').click()
    await eventually('the run is complete', async () => (await admin.get<AcquisitionRun[]>('/api/acquisition/runs'))[0]?.state === 'complete')
    await page.getByTestId('run-state').getByText('齐全').waitFor()
    await page.getByTestId('run-open').click()
    await page.getByTestId('run-studies').getByText('逐幅核对').first().waitFor()
    await picture(page, 'acquisition-run')
    expect(await page.getByTestId('run-studies').locator('tbody tr').count()).toBe(2)

    const { page: doctor, errors: doctorErrors } = await openPerson(browser)
    await signInOnPage(doctor, `${hospital.url}/desk/archive/import`, 'doctor', password)
    await doctor.goto(`${hospital.url}/desk/archive/import`)
    await doctor.getByTestId('import-folder-input').setInputFiles(fixture('dicomdir-fileset'))
    await doctor.getByTestId('import-state').getByText('完成').waitFor({ timeout: 30_000 })
    await eventually('the counts are shown', async () => (await doctor.getByTestId('import-table').innerText()).includes('新增 31'))
    expect(await doctor.getByTestId('import-table').innerText()).toContain('DICOMDIR 列出 31 幅 · 齐全')
    await picture(doctor, 'import-done')
    await doctor.getByTestId('import-open').click()
    await doctor.getByText('dicomdir-fileset/DICOMDIR').waitFor()

    // What was fetched and imported goes to the station by the rule.
    await eventually('the queue is done', async () => (await admin.get<{ rows: ForwardRow[] }>('/api/dicom-forwards?state=done')).rows.length >= 2, 60_000)
    await page.goto(`${hospital.url}/desk/archive/routing`)
    await page.getByRole('tab', { name: '发送队列' }).click()
    await page.getByTestId('queue-table').getByText('完成').first().waitFor()
    await picture(page, 'routing-queue')
    await page.getByRole('tab', { name: '目的节点' }).click()
    await page.getByTestId('limit-STATION').waitFor()
    await picture(page, 'routing-destinations')
    await page.getByRole('tab', { name: '记录' }).click()
    await page.getByTestId('routing-log').getByText('已送达').first().waitFor()
    await picture(page, 'routing-log')

    const { page: hand, errors: handErrors } = await openPerson(browser, { phone: true })
    await signInOnPage(hand, `${hospital.url}/desk/archive/import`, 'doctor', password)
    for (const name of ['import', 'acquisition', 'routing']) {
      await hand.goto(`${hospital.url}/desk/archive/${name}`)
      await hand.locator('.el-table').first().waitFor()
      await picture(hand, `phone-${name}`)
      expect(await hand.evaluate(() => document.documentElement.scrollWidth - window.innerWidth), name).toBeLessThanOrEqual(1)
    }
    expect([...errors, ...doctorErrors, ...handErrors]).toEqual([])
  }, 180_000)
})
