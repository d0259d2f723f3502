import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Browser, Page } from 'playwright-core'
import type { LinkStatus } from 'specs'
import { A } from '../../node-agent/src/access/builders.ts'
import { password, TestHospital, TestRegion } from '../../node-agent/tests/support/region.ts'
import type { ApiUser } from '../../scripts/region/api.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually } from '../support/region.ts'

/** Exams only: what the lists show of images and tasks in two regions is in node-agent/tests/interop/two-regions.test.ts. */
describe('the desk of a hospital that belongs to two regions', () => {
  let folder: string
  let east: TestRegion, west: TestRegion
  let hospital: TestHospital
  let admin: ApiUser
  let browser: Browser
  let page: Page
  let errors: string[]

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lianpian-desk-regions-'))
    ;[east, west] = [await TestRegion.start('east', '东部影像网'), await TestRegion.start('west', '西部影像网')]
    hospital = await TestHospital.start(folder, A, '云溪县人民医院', { region: { heartbeatMs: 500 } })
    admin = await hospital.signIn('admin')
    browser = await launchBrowser()
    ;({ page, errors } = await openPerson(browser))
  })
  afterAll(async () => {
    await browser?.close()
    await hospital?.stop()
    await east?.stop()
    await west?.stop()
    await rm(folder, { recursive: true, force: true })
  })

  async function joinAndRegister(region: TestRegion, accessionNumber: string): Promise<void> {
    await admin.send('PUT', '/api/link', { hubUrl: region.hubUrl, joinCode: await region.invite(A, '云溪县人民医院', ['submitter']) })
    const doctor = await hospital.signIn('doctor')
    await doctor.send('POST', '/api/exams', {
      accessionNumber, patientId: accessionNumber, patientName: '张秀兰', patientSex: 'F', patientBirthDate: '', modality: 'CT', bodyPart: '胸部', description: '胸部CT平扫',
      studyDate: '2026-11-20', studyTime: '', studyInstanceUid: null, clinicalHistory: '', reportFindings: '', reportImpression: '',
    }) // prettier-ignore
    await eventually('connected', async () => (await admin.get<LinkStatus>('/api/link')).state === 'connected')
  }
  const shown = async () => (await page.getByTestId('exam-table').locator('tbody tr td:nth-child(3)').allInnerTexts()).map((text) => text.trim()).sort()
  const untilShown = (...accessions: string[]) => eventually(`${accessions.join()} alone are listed`, async () => (await shown()).join() === accessions.join())
  const filter = () => page.getByTestId('region-filter')
  async function choose(name: string): Promise<void> {
    await filter().click()
    await page.locator('.el-select-dropdown__item', { hasText: name }).locator('visible=true').click()
  }

  it('offers no region while there is one, and keeps to the chosen one of several after a reload', async () => { // FED-20
    await joinAndRegister(east, 'EAST1')
    await signInOnPage(page, `${hospital.url}/desk/exams`, 'doctor', password)
    await untilShown('EAST1')
    expect(await filter().count()).toBe(0)

    await joinAndRegister(west, 'WEST1')
    await filter().waitFor() // without a reload: the page hears of the new line
    await untilShown('EAST1', 'WEST1')
    await choose('东部影像网')
    await untilShown('EAST1')
    await picture(page, 'desk-region-filter')
    await page.reload()
    await untilShown('EAST1')
    await page.getByTestId('menu-requests').click()
    await filter().getByText('东部影像网').waitFor()
    await page.getByTestId('menu-exams').click()
    await choose('西部影像网')
    await untilShown('WEST1')
    expect(errors).toEqual([])
  })
})
