import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { launchBrowser, openPerson } from '../support/browser.ts'
import { eventually } from '../support/region.ts'
import { keyImagesOf, untilState } from '../support/story.ts'
import { makeStudies } from '../support/studies.ts'
import { aConsult } from './support/a-consult.ts'
import { multipart } from './support/global-setup.ts'
import { ask, bearer, signIn } from './support/visitor.ts'

const { node, otherNode, hub, exam, password } = inject('grounds')
/** Short enough for SH (16), without `=`, `^` and backslash, which DICOM gives meanings of their own. */
const mark = '<i data-xss>x</i>'
const image = '<img src=x onerror="window.xss=1" data-xss>'

/** Every text that a modality, a registrar or another hospital can write ends up on some page. */
describe('texts of others on real pages', () => {
  let browser: Browser
  let study = ''
  let examId = ''
  let taskId = ''
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
    // The same in every field of a request and of an opinion, by both hospitals.
    const consult = await aConsult(node, otherNode, password, { examId, question: `${image}${mark}` })
    taskId = consult.taskId
    const [key] = await keyImagesOf(consult.expert, study, 1)
    await consult.expert.send('POST', `/api/consults/${taskId}/sign`, { opinion: { findings: `${image}${mark}`, opinion: `${mark}</textarea></script>${image}`, advice: `${image}{{7*7}}`, keyImages: [{ ...key, note: image }] }, signingPassword: password })
    await untilState(consult.applicant, taskId, 'returned', 'read')
    // What a stranger at the sign-in page writes into the trail.
    await ask(node.url, { method: 'POST', path: '/api/sessions', body: { username: 'doctor', password: 'Wrong-word-1' }, headers: { 'user-agent': `${mark}${image}` }, from: '127.0.12.1' })
    await ask(hub.url, { method: 'POST', path: '/api/hospitals', body: { id: 'hospital-z', name: mark, code: mark.slice(0, 22), kinds: ['submitter'], taskTypes: [], flowModes: ['push'], agentAddress: 'javascript:alert(1)' }, headers: bearer(hub.tokens['region-admin'] ?? '') })
  })
  afterAll(() => browser?.close())

  it.each([
    { page: 'the list', path: () => '/desk/exams', shows: mark },
    { page: 'the exam', path: () => `/desk/exams/${examId}`, shows: 'data-xss' },
    { page: 'the viewer', path: () => `/viewer/?study=${study}`, shows: '' },
    { page: 'the viewer with a hostile address', path: () => `/viewer/?study=${encodeURIComponent(image)}&task=${encodeURIComponent(image)}`, shows: '' },
    { page: 'a page that is not there', path: () => `/desk/${encodeURIComponent(image)}?x=${encodeURIComponent(image)}`, shows: '' },
    { page: 'the region’s hospitals', path: () => '/console/', shows: '', at: 'hub' },
    { page: 'the region’s tasks', path: () => `/console/tasks/${taskId}`, shows: '', at: 'hub' },
    { page: 'the requests', path: () => '/desk/requests', shows: '' },
    { page: 'the opinion where it was asked for', path: () => `/desk/consults/${taskId}`, shows: 'data-xss' },
    { page: 'the opinion as it is printed', path: () => `/desk/consults/${taskId}/print`, shows: 'data-xss', ready: '[data-testid="print-now"]:not(.is-disabled)' },
    { page: 'the opinion where it was written', path: () => `/desk/consults/${taskId}`, shows: 'data-xss', at: 'other' },
    { page: 'its print at the hospital of the expert', path: () => `/desk/consults/${taskId}/print`, shows: 'data-xss', at: 'other' },
    { page: 'the audit trail', path: () => '/desk/security/audit', shows: '', role: 'audit-admin' },
  ])('are text and nothing else: $page', async ({ path, shows, at, role, ready }) => {
    // SEC-09, XSS. Elements are looked for and not scripts alone: CSP would keep those from running.
    const [url, username] = at === 'hub' ? [hub.url, 'region-admin'] : at === 'other' ? [otherNode.url, 'expert'] : [node.url, role ?? 'doctor']
    const { cookie } = await signIn(url, username, password)
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
    if (ready !== undefined) await page.locator(ready).waitFor()
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
    // Not the key object, which is no picture.
    const first = instances.find((instance) => !instance['00080016']?.Value[0]?.startsWith('1.2.840.10008.5.1.4.1.1.88'))
    const rendered = await ask(node.url, { method: 'GET', path: `/dicom-web/studies/${study}/series/${first?.['0020000E']?.Value[0]}/instances/${first?.['00080018']?.Value[0]}/rendered`, headers: { ...doctor, accept: 'image/jpeg' } })
    expect([rendered.status, JSON.stringify(rendered.headers).includes('data-xss')]).toEqual([200, false])
    expect(exam.study).not.toBe(study)
  })
})

/** Elements that came out of a text, and scripts that ran. */
const injected = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>(`[...document.querySelectorAll('[data-xss]')].map((element) => element.outerHTML).concat(window.xss ? ['a script ran'] : [])`)
