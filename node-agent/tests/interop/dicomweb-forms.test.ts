import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Receipt } from '../../src/archive/archive.ts'
import { sendSlice } from '../../src/archive/archive.builder.ts'
import type { JsonDataset } from '../../src/dicom/dicom-json.ts'
import { fixture, fixtures, parts, run, startWebService, type WebService } from './dicomweb-support.ts'

// PS3.18: the forms in which DICOMweb is asked for, and what each of them gets.

let web: WebService
let us: Receipt
let ct: Receipt[]
beforeAll(async () => {
  web = await startWebService()
  us = await web.store(fixture('us-echo', 'I_000002.dcm'))
  ct = []
  const names = [['Zhang^XiuLan=张^秀兰', '1988'], ['Müller^Jürgen', ''], ["O'Brien^<b>&\"", '1990']] as const // prettier-ignore
  for (const [study, [name, year]] of names.entries())
    for (const instance of [1, 2])
      ct.push(
        await sendSlice(web.archive, {
          StudyInstanceUID: `2.25.70${study}`, SeriesInstanceUID: `2.25.70${study}.1`, SOPInstanceUID: `2.25.70${study}.1.${instance}`, InstanceNumber: String(instance), PatientID: `F${study}`,
          PatientName: name, AccessionNumber: study === 1 ? '' : `F${study}`, StudyDate: `2025010${study + 1}`, StudyTime: '120000', EthnicGroup: `group ${study}`, WindowCenter: '40', ...(year && { PatientBirthDate: `${year}0101` }),
        }), // prettier-ignore
      )
})
afterAll(() => web.stop())

const pathOf = ({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Receipt) => `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`
const found = async (query: string): Promise<JsonDataset[]> => (await (await web.get(`/dicom-web/studies?${query}`)).json()) as JsonDataset[]
const uids = (datasets: readonly JsonDataset[]) => datasets.map((dataset) => String(dataset['0020000D']?.Value?.[0]).slice(5))
const text = (query: Record<string, string>) => new URLSearchParams(query).toString()

describe('QIDO-RS by PS3.18 8.3.4', () => {
  it('finds names by words in any order, without accents, as they are read', async () => {
    // ARC-16, ARC-23
    const named = async (name: string) => uids(await found(text({ PatientName: name, fuzzymatching: 'true' })))
    expect(await named('xiulan zhang')).toEqual(['700'])
    expect(await named('zhangxiulan')).toEqual(['700'])
    expect(await named('秀兰')).toEqual(['700'])
    expect(await named('jurgen muller')).toEqual(['701'])
    expect((await web.get('/dicom-web/studies?fuzzymatching=maybe')).status).toBe(400)
  })

  it('answers attributes that only the images hold, also sequences, where they are asked for', async () => {
    const [study] = await found('PatientID=F0&includefield=EthnicGroup&includefield=00281050')
    expect([study?.['00102160']?.Value, study?.['00281050']?.Value]).toEqual([['group 0'], [40]])
    expect((await found('PatientID=F0'))[0]).not.toHaveProperty('00102160')
    const instances = (await (await web.get(`/dicom-web/studies/${ct[0]?.studyInstanceUid}/instances?includefield=all`)).json()) as JsonDataset[]
    expect(instances.map((each) => [each['00280010']?.Value?.[0], each['00281050']?.Value?.[0], each['00200013']?.Value?.[0]])).toEqual([
      [2, 40, 1],
      [2, 40, 2],
    ])
    expect(instances[0]?.['00100030']).toEqual({ vr: 'DA' }) // masked like everything a person is shown
  })

  it('takes empty values, lists, and ranges of moments as they are asked for', async () => {
    expect(uids(await found(text({ AccessionNumber: '""', emptyvaluematching: 'true', PatientID: 'F1' })))).toEqual(['701'])
    expect(uids(await found(text({ AccessionNumber: '""', PatientID: 'F1' })))).toEqual([])
    expect(uids(await found(text({ PatientID: 'F0,F2', multiplevaluematching: 'true' })))).toEqual(['702', '700'])
    expect(uids(await found(text({ StudyInstanceUID: '2.25.700,2.25.702' })))).toEqual(['702', '700'])
    expect(uids(await found(text({ StudyDate: '20250101-20250103', StudyTime: '1300-1100', PatientID: 'F?' })))).toEqual(['701'])
    expect(uids(await found(text({ Modality: 'CT', BodyPartExamined: 'CHEST', PatientID: 'F2' })))).toEqual(['702'])
  })

  it('says where the next page is, and when the list was cut', async () => {
    const first = await web.get('/dicom-web/studies?PatientID=F%3F&limit=2')
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.get('link') ?? '')?.[1] ?? ''
    expect(uids((await first.json()) as JsonDataset[])).toEqual(['702', '701'])
    const second = await web.get(next)
    expect(uids((await second.json()) as JsonDataset[])).toEqual(['700'])
    expect([first.headers.get('warning'), second.headers.get('link')]).toEqual([null, null])
  })

  it('answers in XML as DCMTK writes it, whatever the names are made of', async () => {
    const response = await web.get('/dicom-web/studies?PatientID=F2', { Accept: 'multipart/related; type="application/dicom+xml"' })
    const [part] = await parts(response)
    expect(part?.headers['content-type']).toContain('application/dicom+xml')
    const file = path.join(web.test.folder, 'found.xml')
    writeFileSync(file, part?.body ?? '')
    expect(run('xmllint', ['--noout', file])).toBe('')
    expect(String(part?.body)).toContain('keyword="StudyInstanceUID"><Value number="1">2.25.702</Value>')
    expect(String(part?.body)).not.toContain('<b>')
    expect((await web.get('/dicom-web/studies?PatientID=nobody', { Accept: 'multipart/related; type="application/dicom+xml"' })).status).toBe(204)
  })
})

describe('texts that would be elements of a page', () => {
  it('are text in XML, in the headers of answers and in errors', async () => {
    // SEC-09
    const image = '<img src=x data-xss onerror=alert(1)>'
    await sendSlice(web.archive, { StudyInstanceUID: '2.25.709', SeriesInstanceUID: '2.25.709.1', SOPInstanceUID: '2.25.709.1.1', PatientID: 'X9', PatientName: image, StudyDescription: image, SeriesDescription: image })
    const searched = await web.get(`/dicom-web/studies?${text({ EthnicGroup: image, PatientID: 'X9', limit: '1' })}`)
    expect(`${searched.headers.get('link')} ${searched.headers.get('warning')}`).toContain('rel="next"')
    expect(`${searched.headers.get('link')} ${searched.headers.get('warning')}`).not.toContain('<img')
    for (const address of ['/dicom-web/studies?PatientID=X9', '/dicom-web/studies/2.25.709/metadata', '/dicom-web/studies/2.25.709/series']) {
      const answer = await web.get(address, { Accept: 'multipart/related; type="application/dicom+xml"' })
      expect([answer.headers.get('content-type')?.split(';')[0], answer.headers.get('x-content-type-options')]).toEqual(['multipart/related', 'nosniff'])
      const xml = await answer.text()
      expect(xml, address).not.toContain('<img')
      if (!address.endsWith('PatientID=X9')) expect(xml, address).toContain('&lt;img src=x data-xss')
    }
    const thumbnail = await web.get('/dicom-web/studies/2.25.709/thumbnail', { Accept: 'image/jpeg' })
    expect([thumbnail.status, JSON.stringify([...thumbnail.headers]).includes('data-xss')]).toEqual([200, false])
    for (const address of [`/dicom-web/studies?${text({ [image]: 'x' })}`, `/dicom-web/studies?${text({ includefield: image })}`, `/dicom-web/studies/${encodeURIComponent(image)}/rendered`, `/wado?${text({ requestType: image })}`]) {
      const refused = await web.get(address, { Accept: 'text/html' })
      expect(refused.status, address).toBeGreaterThanOrEqual(400)
      expect(refused.headers.get('content-type'), address).toContain('json')
    }
  })
})

describe('WADO-RS by PS3.18 8.6 and 8.7', () => {
  it('gives metadata in XML that says what DCMTK reads in the file', async () => {
    const [part] = await parts(await web.get(`${pathOf(us)}/metadata`, { Accept: 'multipart/related; type="application/dicom+xml"' }))
    const elements = (xml: string) =>
      new Map([...xml.matchAll(/<DicomAttribute tag="(\w+)" vr="(\w+)"[^>]*>\s*((?:<Value number="\d+">[^<]*<\/Value>\s*)+)<\/DicomAttribute>/g)].map(([, tag, vr, values = '']) => [`${tag} ${vr}`, values.replaceAll(/>\s+</g, '><').trim()]))
    const ours = elements(String(part?.body))
    const theirs = elements(run('dcm2xml', ['--native-format', fixture('us-echo', 'I_000002.dcm')]))
    const compared = [...theirs].filter(([key]) => ours.has(key) && !/ (?:DS|FD|FL|PN)$/.test(key) && !key.startsWith('0002'))
    expect(compared.length).toBeGreaterThan(15)
    const trimmed = (values: string | undefined) => values?.replaceAll(/\s+</g, '<')
    for (const [key, values] of compared.filter(([key]) => !key.startsWith('00080005') && !key.startsWith('0010'))) expect(trimmed(ours.get(key)), key).toBe(trimmed(values))
  })

  it('makes the transfer syntax that is insisted on, with the same pixels, and gives as stored whatever takes that', async () => {
    // ARC-26
    const receipt = await web.store(fixtures('syntaxes').find(({ path: name }) => name.includes('JPEGLSLossless'))?.file ?? '')
    const as = (syntax: string) => web.get(pathOf(receipt), { Accept: `application/dicom; transfer-syntax=${syntax}` })
    const rle = await as('1.2.840.10008.1.2.5')
    expect([rle.status, rle.headers.get('content-type')]).toEqual([200, 'application/dicom; transfer-syntax=1.2.840.10008.1.2.5'])
    const file = path.join(web.test.folder, 'rle.dcm')
    writeFileSync(file, Buffer.from(await rle.arrayBuffer()))
    expect(run('dcmdump', ['-q', '+P', '0002,0010', file])).toContain('RLELossless')
    const explicit = path.join(web.test.folder, 'explicit.dcm')
    writeFileSync(explicit, Buffer.from(await (await as('1.2.840.10008.1.2.1')).arrayBuffer()))
    run('dcmdrle', [file, `${file}.raw`])
    const pixels = (name: string) => createHash('md5').update(readFileSync(name).subarray(-512 * 512 * 2)).digest('hex')
    expect(pixels(explicit)).toBe(pixels(`${file}.raw`))
    expect(pixels(explicit)).toBe(fixtures('syntaxes').find(({ path: name }) => name.includes('JPEGLSLossless'))?.decodedMd5)
    const either = await web.get(pathOf(receipt), { Accept: `application/dicom; transfer-syntax=1.2.840.10008.1.2.5, application/dicom; transfer-syntax=*; q=0.1` })
    expect(either.headers.get('content-type')).toBe(`application/dicom; transfer-syntax=${receipt.transferSyntaxUid}`)
    const whole = await parts(await web.get(`/dicom-web/studies/${receipt.studyInstanceUid}`, { Accept: 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.5' }))
    expect(whole[0]?.headers['content-type']).toBe('application/dicom; transfer-syntax=1.2.840.10008.1.2.5')
    expect((await as('1.2.3.4')).status).toBe(406)
  })

  it('gives ranges of what lies there, knows what is held already, and answers HEAD and OPTIONS', async () => {
    const whole = await web.get(pathOf(us), { Accept: 'application/dicom' })
    const bytes = Buffer.from(await whole.arrayBuffer())
    const etag = whole.headers.get('etag') ?? ''
    const range = async (header: string) => web.get(pathOf(us), { Accept: 'application/dicom', Range: header })
    const part = await range('bytes=128-131')
    expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, `bytes 128-131/${bytes.length}`, 'DICM'])
    expect(Buffer.from(await (await range('bytes=-10')).arrayBuffer()).equals(bytes.subarray(-10))).toBe(true)
    expect((await range(`bytes=${bytes.length}-`)).status).toBe(416)
    expect((await range('bytes=9-2')).status).toBe(200)
    expect((await web.get(pathOf(us), { Accept: 'application/dicom', 'If-None-Match': etag })).status).toBe(304)
    expect((await web.get(pathOf(us), { Accept: 'application/dicom', Range: 'bytes=0-3', 'If-Range': '"other"' })).status).toBe(200)
    const metadata = await web.get(`${pathOf(us)}/metadata`)
    expect((await web.get(`${pathOf(us)}/metadata`, { 'If-None-Match': metadata.headers.get('etag') ?? '' })).status).toBe(304)
    const head = await fetch(`${web.url}${pathOf(us)}`, { method: 'HEAD', headers: { ...web.headers, Accept: 'application/dicom' } })
    expect([head.status, head.headers.get('content-length')]).toEqual([200, String(bytes.length)])
    expect((await fetch(`${web.url}/dicom-web/studies/${us.studyInstanceUid}`, { method: 'HEAD', headers: web.headers })).headers.get('content-type')).toMatch(/^multipart\/related/)
    const options = await fetch(`${web.url}/dicom-web/studies`, { method: 'OPTIONS', headers: web.headers })
    expect(options.headers.get('allow')).toMatch(/GET.*POST|POST.*GET/)
    const bulk = await web.get(`/dicom-web/studies/2.25.700/series/2.25.700.1/instances/2.25.700.1.1/bulkdata/7FE00010`, { Accept: 'application/octet-stream', Range: 'bytes=2-3' })
    expect([bulk.status, [...Buffer.from(await bulk.arrayBuffer())]]).toEqual([206, [2, 0]])
  })

  it('shows a study, a series and lists of frames as pictures, one by one as parts', async () => {
    const study = '/dicom-web/studies/2.25.700'
    const pictures = async (address: string) => parts(await web.get(address, { Accept: 'multipart/related; type="image/png"' }))
    for (const address of [`${study}/rendered`, `${study}/series/2.25.700.1/rendered`]) {
      const shown = await pictures(address)
      expect(shown.map(({ headers }) => headers['content-type'])).toEqual(['image/png', 'image/png'])
      expect(await sharp(shown[0]?.body).metadata()).toMatchObject({ width: 2, height: 2 })
    }
    const multi = await web.store(fixture('xa-multiframe', 'jpeg_baseline_8bit.dcm'))
    const frames = Math.max(1, (await web.archive.instance(multi.sopInstanceUid))?.numberOfFrames ?? 1)
    expect(await pictures(`${pathOf(multi)}/rendered`)).toHaveLength(frames)
    const [a, b] = await pictures(`${pathOf(multi)}/frames/1,2/rendered?viewport=32,32`)
    expect([a?.headers['content-location'], b?.headers['content-location']]).toEqual([`${pathOf(multi)}/frames/1/rendered`, `${pathOf(multi)}/frames/2/rendered`])
    const told = await web.get(`${study}/rendered?annotation=patient&iccprofile=no`, { Accept: 'image/jpeg' })
    expect([told.status, told.headers.get('warning')]).toEqual([200, '299 lianpian "annotation is not applied"'])
    expect((await web.get(`${pathOf(multi)}/frames/1,2/rendered`, { Accept: 'image/png' })).status).toBe(406)
  })

  it('gives WADO-URI the transfer syntax it names, and refuses what it could only pretend', async () => {
    // FED-24, AGT-08
    const ask = (more: Record<string, string>) => web.get(`/wado?${text({ requestType: 'WADO', studyUID: '2.25.700', seriesUID: '2.25.700.1', objectUID: '2.25.700.1.1', contentType: 'application/dicom', ...more })}`)
    const made = await ask({ transferSyntax: '1.2.840.10008.1.2.5' })
    expect([made.status, made.headers.get('content-type')]).toEqual([200, 'application/dicom; transfer-syntax=1.2.840.10008.1.2.5'])
    expect((await ask({ transferSyntax: '1.2.840.10008.1.2.4.102' })).status).toBe(406)
    expect((await ask({ contentType: 'image/jpeg', presentationUID: '1.2.3' })).status).toBe(406)
  })
})

describe('the OpenAPI document', () => {
  it('is valid by the schema of OpenAPI 3.1 and tells the parameters of every image service', async () => {
    const document = (await (await fetch(`${web.url}/openapi.json`)).json()) as { paths: Record<string, Record<string, { parameters?: { name: string; in: string }[] }>> }
    expect(await new Validator().validate(structuredClone(document))).toMatchObject({ valid: true })
    const named = (path: string) => (document.paths[path]?.['get']?.parameters ?? []).map(({ name, in: where }) => `${where} ${name}`)
    expect(named('/dicom-web/studies')).toEqual(expect.arrayContaining(['query fuzzymatching', 'query includefield', 'query limit', 'query PatientName']))
    expect(named('/dicom-web/studies/{study}/series/{series}/rendered')).toEqual(expect.arrayContaining(['path study', 'path series', 'query window', 'query viewport']))
    expect(named('/wado')).toEqual(expect.arrayContaining(['query requestType', 'query objectUID', 'query transferSyntax']))
    for (const [path, methods] of Object.entries(document.paths))
      for (const [method, { parameters = [] }] of Object.entries(methods)) {
        const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        expect(parameters.filter(({ in: where }) => where === 'path').map(({ name }) => name), `${method} ${path}`).toEqual(inPath)
      }
  })
})
