import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { launchBrowser, openPerson } from '../support/browser.ts'
import { eventually } from '../support/region.ts'
import { makeStudies } from '../support/studies.ts'
import { multipart } from './support/global-setup.ts'
import { ask, bearer, signIn } from './support/visitor.ts'

const { node, hub, exam, password } = inject('grounds')
/** Short enough for SH (16), without `=`, `^` and backslash, which DICOM gives meanings of their own. */
const mark = '<i data-xss>x</i>'
const image = '<img src=x onerror="window.xss=1" data-xss>'

/** Every text that a modality, a registrar or another hospital can write ends up on some page. */
describe('texts of others on real pages', () => {
  let browser: Browser
  let study = ''
  let examId = ''
  beforeAll(async () => {
    browser = await launchBrowser()
    const folder = mkdtempSync(join(tmpdir(), 'lianpian-xss-'))
    const [made] = makeStudies(folder, { count: 1, instancesEach: 2, batch: 80 })
    study = made?.studyInstanceUid ?? ''
    const texts = ['PatientName', 'PatientID', 'StudyDescription', 'SeriesDescription', 'InstitutionName', 'InstitutionalDepartmentName', 'ReferringPhysicianName', 'PerformingPhysicianName', 'OperatorsName', 'Manufacturer', 'ManufacturerModelName', 'ProtocolName', 'PatientComments', 'ImageComments', 'AdditionalPatientHistory', 'RequestedProcedureDescription']
    const files = [0, 1].map((n) => join(made?.folder ?? '', `${n}.dcm`))
    execFileSync('dcmodify', ['-nb', ...texts.flatMap((keyword) => ['-i', `${keyword}=${mark}`]), '-i', 'StationName=<i data-xss>', '-i', 'StudyID=<i data-xss>', '-i', 'AccessionNumber=<i data-xss>', ...files])
    const stored = await ask(node.url, { method: 'POST', path: '/dicom-web/studies', body: multipart(files.map((file) => readFileSync(file)), 'x8'), headers: { ...bearer(node.tokens['technician'] ?? ''), 'content-type': 'multipart/related; type="application/dicom"; boundary=x8' } })
    expect(stored.status, stored.text).toBe(200)
    rmSync(folder, { recursive: true })
    const doctor = bearer(node.tokens['doctor'] ?? '')
    examId = await eventually('the exam is there', async () => (JSON.parse((await ask(node.url, { method: 'GET', path: `/api/exams/by-study/${study}`, headers: doctor })).text) as { examId?: string }).examId)
    const changed = await ask(node.url, { method: 'PATCH', path: `/api/exams/${examId}`, body: { clinicalHistory: image, reportFindings: `${image}${mark}`, reportImpression: `${mark}{{7*7}}javascript:alert(1)` }, headers: doctor })
    expect(changed.status, changed.text).toBe(200)
    await ask(hub.url, { method: 'POST', path: '/api/hospitals', body: { id: 'hospital-z', name: mark, code: mark.slice(0, 22), kinds: ['submitter'], taskTypes: [], flowModes: ['push'], agentAddress: 'javascript:alert(1)' }, headers: bearer(hub.tokens['region-admin'] ?? '') })
  })
  afterAll(() => browser?.close())

  it.each([
    { page: 'the list', path: () => '/desk/exams', shows: mark },
    { page: 'the exam', path: () => `/desk/exams/${examId}`, shows: 'data-xss' },
    { page: 'the viewer', path: () => `/viewer/?study=${study}`, shows: '' },
    { page: 'the viewer with a hostile address', path: () => `/viewer/?study=${encodeURIComponent(image)}&task=${encodeURIComponent(image)}`, shows: '' },
    { page: 'a page that is not there', path: () => `/desk/${encodeURIComponent(image)}?x=${encodeURIComponent(image)}`, shows: '' },
    { page: 'the region’s hospitals', path: () => '/console/', shows: '', console: true },
  ])('are text and nothing else: $page', async ({ path, shows, console: isConsole }) => {
    // SEC-09, XSS. Elements are looked for and not scripts alone: CSP would keep those from running.
    const url = isConsole ? hub.url : node.url
    const { cookie } = await signIn(url, isConsole ? 'region-admin' : 'doctor', password)
    const { context, page } = await openPerson(browser)
    const dialogs: string[] = []
    page.on('dialog', (dialog) => {
      dialogs.push(dialog.message())
      void dialog.dismiss()
    })
    const [name = '', ...value] = cookie.split('=')
    await context.addCookies([{ name, value: value.join('='), url }])
    await page.goto(url + path())
    if (shows !== '') await eventually('the text is on the page', async () => (await page.evaluate<string>('document.body.innerText')).includes(shows), 20_000)
    else await page.waitForTimeout(2_500)
    expect(await injected(page)).toEqual([])
    expect(dialogs).toEqual([])
    await context.close()
  })

  it('are text in errors and headers of images, too', async () => {
    const doctor = bearer(node.tokens['doctor'] ?? '')
    for (const path of [`/wado?requestType=WADO&studyUID=${encodeURIComponent(image)}`, `/dicom-web/studies/${encodeURIComponent(image)}/metadata`, `/api/exams/${encodeURIComponent(image)}`, `/desk/${encodeURIComponent(image)}.js`, `/nothing/${encodeURIComponent(image)}`]) {
      const { headers, status } = await ask(node.url, { method: 'GET', path, headers: { ...doctor, accept: 'text/html,*/*' } })
      expect(status, path).toBeGreaterThanOrEqual(400)
      expect(String(headers['content-type']), path).not.toContain('text/html')
      expect(headers['x-content-type-options']).toBe('nosniff')
    }
    const instances = JSON.parse((await ask(node.url, { method: 'GET', path: `/dicom-web/studies/${study}/instances`, headers: doctor })).text) as Record<string, { Value: string[] }>[]
    const [first] = instances
    const rendered = await ask(node.url, { method: 'GET', path: `/dicom-web/studies/${study}/series/${first?.['0020000E']?.Value[0]}/instances/${first?.['00080018']?.Value[0]}/rendered`, headers: { ...doctor, accept: 'image/jpeg' } })
    expect([rendered.status, JSON.stringify(rendered.headers).includes('data-xss')]).toEqual([200, false])
    expect(exam.study).not.toBe(study)
  })
})

/** Elements that came out of a text, and scripts that ran. */
const injected = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>(`[...document.querySelectorAll('[data-xss]')].map((element) => element.outerHTML).concat(window.xss ? ['a script ran'] : [])`)
