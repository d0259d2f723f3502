import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import type { DicomService, ReceivingNodeRow } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { A } from '../../node-agent/src/access/builders.ts'
import { password, TestHospital } from '../../node-agent/tests/support/region.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'
import { eventually } from '../support/region.ts'

let folder: string, hospital: TestHospital, browser: Browser

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-devices-page-'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', { dimse: { host: '127.0.0.1', port: 0, aeTitle: 'YUNXI' } })
  browser = await launchBrowser()
  const registrar = await hospital.signIn('registrar')
  const today = new Date().toLocaleDateString('sv-SE')
  for (const [n, [patientName, modality, stepDescription]] of ([['张晓兰', 'CT', '胸部平扫'], ['李国强', 'MR', '头颅平扫'], ['王芳', 'DX', '右膝正侧位']] as const).entries())
    await registrar.send('POST', '/api/worklist', { patientId: `P00${n}`, patientName, modality, stepDescription, accessionNumber: `A260${n}`, startDate: today, startTime: `0${8 + n}:30`.slice(-5), scheduledStationAeTitle: n === 0 ? 'CT01' : '' })
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await hospital?.stop()
  await rm(folder, { recursive: true, force: true })
})

describe('the pages of devices', () => {
  it('register a device with its rights, switch the AE check, open a receiving node and set the ports', async () => { // ARC-05, FED-15, FED-19
    const { page, errors, context } = await openPerson(browser)
    await signInOnPage(page, `${hospital.url}/desk/dicom-nodes`, 'admin', password)
    await page.goto(`${hospital.url}/desk/dicom-nodes`)
    const admin = await hospital.signIn('admin')
    const settings = async () => (await admin.get<DicomService>('/api/dicom-settings')).settings
    await page.getByText('AE 校验已开启').waitFor()
    await page.getByTestId('node-add').click()
    await page.getByTestId('node-ae').fill('CT01')
    await page.getByTestId('node-host').fill('10.0.0.21')
    await page.getByTestId('permission-worklist').click()
    await page.getByText('更多设置').click()
    await page.getByText('工作列表只含本设备').waitFor()
    await picture(page, 'device-form')
    await page.getByTestId('node-save').click()
    await page.getByTestId('node-table').getByText('工作列表').waitFor()
    expect(await admin.get('/api/dicom-nodes')).toMatchObject([{ aeTitle: 'CT01', permissions: ['store', 'query', 'retrieve', 'worklist'] }])
    await page.getByTestId('ae-check').click()
    await page.getByRole('button', { name: '关闭 AE 校验' }).click()
    await page.getByText('AE 校验已关闭').waitFor()
    expect((await settings()).checkCallingAe).toBe(false)
    await picture(page, 'devices')
    await page.getByTestId('ae-check').click()
    await page.getByText('AE 校验已开启').waitFor()
    expect((await settings()).checkCallingAe).toBe(true)

    await page.getByRole('tab', { name: '接收节点' }).click()
    await page.getByTestId('receiving-add').click()
    await page.getByTestId('receiving-ae').fill('CLINIC')
    await page.getByTestId('receiving-hospital').fill('clinic-1')
    await page.getByTestId('receiving-save').click()
    await page.getByTestId('receiving-table').getByText('接收中').waitFor()
    expect((await admin.get<ReceivingNodeRow[]>('/api/receiving-nodes')).map(({ aeTitle, hospitalId, listening }) => [aeTitle, hospitalId, listening])).toEqual([['CLINIC', 'clinic-1', true]])
    await picture(page, 'receiving-nodes')

    await page.getByRole('tab', { name: '端口参数' }).click()
    await page.getByTestId('port-maxAssociations').locator('input').fill('12')
    await page.getByTestId('port-called').click()
    await page.getByTestId('port-save').click()
    await eventually('the settings hold', async () => (await settings()).maxAssociations === 12 && (await settings()).checkCalledAe)
    await picture(page, 'dicom-ports')
    await page.setViewportSize({ width: 390, height: 844 })
    await picture(page, 'dicom-ports-phone')
    await page.getByRole('tab', { name: '设备' }).click()
    await picture(page, 'devices-phone')
    expect(errors).toEqual([])
    await context.close()
  })

  it('show what modalities are told, take a step by hand and cancel it', async () => { // PS3.4 K
    const { page, errors, context } = await openPerson(browser)
    await signInOnPage(page, `${hospital.url}/desk/archive/worklist`, 'registrar', password)
    await page.goto(`${hospital.url}/desk/archive/worklist`)
    await page.getByTestId('worklist-table').getByText('李*强').waitFor()
    await page.getByTestId('worklist-add').click()
    await page.getByTestId('worklist-save').click()
    await page.getByText('请填写患者号、姓名').waitFor()
    await page.getByTestId('worklist-patient-id').fill('P900')
    await page.getByTestId('worklist-patient-name').fill('试验患者')
    await picture(page, 'worklist-form')
    await page.getByTestId('worklist-save').click()
    await page.getByTestId('worklist-table').getByText('P900').waitFor()
    await picture(page, 'worklist')
    await page.getByTestId('cancel-P900').click()
    await page.getByPlaceholder('取消原因').fill('测试完毕')
    await page.getByRole('dialog').getByRole('button', { name: '取消预约' }).click()
    await page.getByTestId('worklist-table').getByText('已取消').waitFor()
    await page.setViewportSize({ width: 390, height: 844 })
    await picture(page, 'worklist-phone')
    expect(errors).toEqual([])
    await context.close()
  })
})
