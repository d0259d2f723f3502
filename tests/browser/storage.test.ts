import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import type { StorageState } from 'specs'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { A } from '../../node-agent/src/access/builders.ts'
import { aSlice } from '../../node-agent/src/archive/archive.builder.ts'
import { buildFile } from '../../node-agent/src/dicom/dataset.builder.ts'
import { password, TestHospital } from '../../node-agent/tests/support/region.ts'
import { s3Credentials, S3Server } from '../../node-agent/tests/support/s3-server.ts'
import { launchBrowser, openPerson, picture, signInOnPage } from '../support/browser.ts'

const soon = { timeout: 20_000, interval: 200 }
let folder: string, server: S3Server, hospital: TestHospital, browser: Browser

async function arrive(study: string, changes: object = {}): Promise<void> {
  const doctor = await hospital.signIn('doctor')
  const file = Buffer.from(buildFile(aSlice({ StudyInstanceUID: study, SeriesInstanceUID: `${study}.1`, SOPInstanceUID: `${study}.1.1`, AccessionNumber: `A${study.slice(5)}`, ...changes })))
  const body = Buffer.concat([Buffer.from('--b\r\nContent-Type: application/dicom\r\n\r\n'), file, Buffer.from('\r\n--b--\r\n')])
  const answer = await doctor.raw('/dicom-web/studies', { method: 'POST', headers: { 'content-type': 'multipart/related; type="application/dicom"; boundary=b', accept: 'application/dicom+json' }, body })
  expect(answer.status).toBe(200)
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lianpian-storage-page-'))
  server = await S3Server.start(join(folder, 's3'))
  await mkdir(join(folder, 'nas'))
  hospital = await TestHospital.start(folder, A, '云溪县人民医院', { archive: { minFreeBytes: 1_000_000, stores: [{ id: 'nas', name: '近线磁盘', kind: 'folder', folder: join(folder, 'nas') }] } })
  browser = await launchBrowser()
  await arrive('2.25.1')
  await arrive('2.25.7', { StudyDate: '19900301', PatientID: 'OLDER', PatientName: 'Li^Lei=李^雷' })
}, 120_000)
afterAll(async () => {
  await browser?.close()
  await hospital?.stop()
  await server?.kill()
  await rm(folder, { recursive: true, force: true })
})

describe('the page of storage', () => {
  it('sets up a bucket and a rule by clicking, and shows where images are, on desktop and phone', async () => { // ARC-08, ARC-20, ARC-24, AGT-14
    const { page, errors, context } = await openPerson(browser)
    await signInOnPage(page, `${hospital.url}/desk/archive/storage`, 'admin', password)
    await page.goto(`${hospital.url}/desk/archive/storage`)
    await page.getByTestId('storage-used').waitFor()
    await picture(page, 'storage-overview-before')
    await page.getByRole('tab', { name: '存储设备' }).click()
    await page.getByTestId('store-nas').waitFor()
    await page.getByTestId('store-add').click()
    for (const [field, value] of [['name', '云存储'], ['id', 'cloud'], ['endpoint', server.endpoint], ['bucket', server.bucket], ['key', s3Credentials.accessKeyId], ['secret', s3Credentials.secretAccessKey], ['reason', '新增对象存储']] as const) await page.getByTestId(`store-${field}`).fill(value)
    await picture(page, 'storage-bucket')
    await page.getByTestId('store-save').click()
    await page.getByTestId('store-cloud').waitFor()
    await page.getByTestId('store-check-cloud').click()
    await page.getByText('可用：已写入、读回并删除一个测试文件').waitFor()
    await page.getByRole('tab', { name: '规则' }).click()
    await page.getByTestId('rule-path').fill('{hospital}/{yyyy}/{MM}/{dd}/{studyUID}')
    await page.getByTestId('tier-add').click()
    const rule = page.getByTestId('tier-rule')
    await rule.getByPlaceholder('规则名称').fill('两年前的检查')
    await page.getByTestId('replica-add').click()
    await page.getByTestId('replica-rule').getByPlaceholder('规则名称').fill('第二份')
    await page.getByTestId('rule-reason').fill('归档与备份')
    await picture(page, 'storage-rules')
    await page.getByTestId('rule-save').click()
    const admin = await hospital.signIn('admin')
    const state = () => admin.get<StorageState>('/api/storage/archives/in-hospital')
    await vi.waitFor(async () => expect((await state()).tiers.map(({ storeId }) => storeId)).toContain('nas'), soon)
    expect((await state()).policy).toMatchObject({ pathTemplate: '{hospital}/{yyyy}/{MM}/{dd}/{studyUID}', tierRules: [{ name: '两年前的检查', to: 'nas', days: 730 }], replicaRules: [{ name: '第二份', to: 'nas' }] })
    await page.getByRole('tab', { name: '概况' }).click()
    await page.getByTestId('storage-check').click()
    await page.getByTestId('storage-pass').getByText('缺失 0，损坏 0').waitFor()
    await page.getByTestId('storage-tiers').getByText('nas').waitFor()
    await picture(page, 'storage-overview')
    for (const tab of ['存储设备', '等待移动', '巡检问题']) {
      await page.getByRole('tab', { name: tab }).click()
      await picture(page, `storage-${tab}`)
    }
    await page.getByTestId('storage-archive').getByText('区域缓存').click()
    await page.getByRole('tab', { name: '规则' }).click()
    await page.getByTestId('rule-cache').waitFor() // AGT-12
    expect(errors).toEqual([])
    await context.close()
    const phone = await openPerson(browser, { phone: true })
    await signInOnPage(phone.page, `${hospital.url}/desk/archive/storage`, 'admin', password)
    await phone.page.goto(`${hospital.url}/desk/archive/storage`)
    await phone.page.getByTestId('storage-used').waitFor()
    for (const tab of ['概况', '存储设备', '规则']) {
      await phone.page.getByRole('tab', { name: tab }).click()
      await picture(phone.page, `storage-phone-${tab}`)
      expect(await phone.page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390)
    }
    await phone.context.close()
  })
  it('lets the records office take back a deletion', async () => { // LOC-06
    const records = await hospital.signIn('records')
    await vi.waitFor(() => records.send('DELETE', '/api/studies/2.25.7', { reason: '保存期满' }), soon)
    const { page, context } = await openPerson(browser)
    await signInOnPage(page, `${hospital.url}/desk/archive/storage`, 'records', password)
    await page.goto(`${hospital.url}/desk/archive/storage`)
    await page.getByTestId('recycled-restore').waitFor()
    await picture(page, 'storage-recycled')
    await page.getByTestId('recycled-restore').click()
    await page.getByPlaceholder('理由').fill('误删')
    await page.locator('.el-message-box__btns .el-button--primary').click()
    await page.getByText('回收站是空的').waitFor()
    expect((await (await hospital.signIn('doctor')).raw('/dicom-web/studies/2.25.7/metadata', { headers: { accept: 'application/dicom+json' } })).status).toBe(200)
    await context.close()
  })
})
