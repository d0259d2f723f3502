import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { aSlice } from '../../src/archive/archive.builder.ts'
import type { Receipt } from '../../src/archive/archive.ts'
import type { JsonDataset } from '../../src/dicom/dicom-json.ts'
import {
  askPydicom,
  fixture,
  fixtures,
  forbiddenStudy,
  multipartBody,
  parts,
  run,
  startWebService,
  type WebService,
} from './dicomweb-support.ts'

let web: WebService
beforeAll(async () => {
  web = await startWebService()
})
afterAll(() => web.stop())

const json = async (response: Response): Promise<JsonDataset[]> => {
  expect(response.status).toBe(200)
  expect(response.headers.get('content-type')).toMatch(/^application\/dicom\+json/)
  return (await response.json()) as JsonDataset[]
}
const codeOf = async (response: Response) => ((await response.json()) as { code: string }).code
const values = (datasets: JsonDataset[], tag: string) => datasets.map((dataset) => dataset[tag]?.Value?.[0])
/** Some published samples have no Study or Series Instance UID; those are refused. */
async function storeUnlessNameless(file: string): Promise<Receipt | undefined> {
  try {
    return await web.store(file)
  } catch (error) {
    expect(error, file).toMatchObject({ code: 'archive/bad-uid' })
    return undefined
  }
}
const pathOf = ({
  studyInstanceUid,
  seriesInstanceUid,
  sopInstanceUid,
}: {
  studyInstanceUid: string
  seriesInstanceUid: string
  sopInstanceUid: string
}) => `/dicom-web/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`

describe('who may use DICOMweb and WADO', () => {
  it.each(['/dicom-web/studies', '/dicom-web/studies/1.2/metadata', '/wado?requestType=WADO&studyUID=1&seriesUID=1&objectUID=1'])(
    'nobody without signing in: %s',
    async (address) => {
      // FED-24, AGT-08
      const response = await fetch(web.url + address)
      expect([response.status, await codeOf(response)]).toEqual([401, 'access/not-signed-in'])
    },
  )

  it('nobody without leave to see the study', async () => {
    for (const address of [
      `/dicom-web/studies/${forbiddenStudy}/series`,
      `/dicom-web/studies/${forbiddenStudy}`,
      `/wado?requestType=WADO&studyUID=${forbiddenStudy}&seriesUID=1&objectUID=1`,
    ]) {
      const response = await web.get(address)
      expect([response.status, await codeOf(response)]).toEqual([403, 'access/no-grant'])
    }
  })
})

describe('STOW-RS', () => {
  it('stores every part, says which were refused and why, and answers 200, 202 or 409', async () => {
    const [a, b] = [
      buildFile(aSlice({ StudyInstanceUID: '2.25.70', SeriesInstanceUID: '2.25.71', SOPInstanceUID: '2.25.701' })),
      buildFile(aSlice({ StudyInstanceUID: '2.25.70', SeriesInstanceUID: '2.25.71', SOPInstanceUID: '2.25.702' })),
    ]
    const store = async (files: readonly Uint8Array[], address = '/dicom-web/studies') => {
      const { headers, body } = multipartBody(files)
      const response = await fetch(web.url + address, { method: 'POST', headers: { ...web.headers, ...headers }, body })
      return { status: response.status, body: (await response.json()) as JsonDataset }
    }
    const whole = await store([a, b])
    expect(whole.status).toBe(200)
    expect(whole.body['00081199']?.Value).toHaveLength(2)
    expect(whole.body['00081190']?.Value).toEqual(['/dicom-web/studies/2.25.70'])
    expect((await web.get('/dicom-web/studies/2.25.70/series/2.25.71/instances/2.25.702')).status).toBe(200)

    const mixed = await store([a, a.subarray(0, 300), Buffer.from('rubbish')])
    expect(mixed.status).toBe(202)
    expect(mixed.body['00081199']?.Value).toHaveLength(1)
    expect(mixed.body['0008119A']?.Value).toEqual([
      { '00081197': { vr: 'US', Value: [0xc000] } },
      { '00081197': { vr: 'US', Value: [0xc000] } },
    ])

    const elsewhere = await store([a], '/dicom-web/studies/2.25.99')
    expect([elsewhere.status, elsewhere.body['0008119A']?.Value]).toEqual([409, [{ '00081197': { vr: 'US', Value: [0xa900] } }]])
  })

  it('refuses what is no multipart of DICOM, and bodies that break off', async () => {
    const post = (headers: Record<string, string>, body: string | Buffer) =>
      fetch(`${web.url}/dicom-web/studies`, { method: 'POST', headers: { ...web.headers, ...headers }, body })
    expect((await post({ 'Content-Type': 'application/json' }, '{}')).status).toBe(415)
    const { headers, body } = multipartBody([buildFile(aSlice({ SOPInstanceUID: '2.25.799' }))])
    expect((await post(headers, body.subarray(0, body.length - 30))).status).toBe(400)
    expect(await web.archive.instance('2.25.799')).toBeUndefined()
  })
})

describe('QIDO-RS', () => {
  beforeAll(async () => {
    for (const name of ['chrX1.dcm', 'chrX2.dcm', 'chrH31.dcm', 'chrGerm.dcm', 'chrI2.dcm']) await web.store(fixture('charsets', name))
    await web.store(fixture('us-echo', 'I_000002.dcm'))
  })

  it('finds Chinese, Japanese, Korean and German names by wildcard in any of their groups', async () => {
    // FED-21, ARC-16, ARC-23
    const found = async (name: string) =>
      values(await json(await web.get(`/dicom-web/studies?PatientName=${encodeURIComponent(name)}`)), '00100020')
    expect((await found('wang*')).sort()).toEqual(['X1EXAMPLE', 'X2EXAMPLE'])
    expect((await found('王^小*')).sort()).toEqual(['X1EXAMPLE', 'X2EXAMPLE'])
    expect(await found('やまだ*')).toHaveLength(1)
    expect(await found('*吉洞')).toHaveLength(1)
    expect(await found('äneas^RÜDIGER')).toHaveLength(1)
    expect(await found('nobody*')).toEqual([])
  })

  it('pages, counts and warns about what it does not match', async () => {
    const all = await json(await web.get('/dicom-web/studies?includefield=all&StudyDate='))
    const second = await json(await web.get('/dicom-web/studies?limit=2&offset=1'))
    expect(values(second, '0020000D')).toEqual(values(all, '0020000D').slice(1, 3))
    expect(all.find((study) => study['00100020']?.Value?.[0] === 'X1EXAMPLE')).toMatchObject({
      '00080061': { vr: 'CS' },
      '00201206': { vr: 'IS', Value: [1] },
      '00201208': { vr: 'IS', Value: [1] },
      '00100010': { vr: 'PN', Value: [{ Alphabetic: 'Wang^X***', Ideographic: '王*東' }] },
    })
    const warned = await web.get('/dicom-web/studies?EthnicGroup=x')
    expect(warned.headers.get('warning')).toContain('EthnicGroup is not matched')
    expect((await web.get('/dicom-web/studies?NoSuchThing=x')).status).toBe(400)
    expect((await web.get('/dicom-web/studies?limit=many')).status).toBe(400)
  })

  it('searches series and instances, over everything and inside a study', async () => {
    const [us] = await json(await web.get('/dicom-web/series?Modality=US&limit=1'))
    const study = us?.['0020000D']?.Value?.[0]
    expect(us?.['00081190']?.Value?.[0]).toBe(`/dicom-web/studies/${study}/series/${us?.['0020000E']?.Value?.[0]}`)
    expect(values(await json(await web.get(`/dicom-web/studies/${study}/series?Modality=US`)), '00080060')).toEqual(['US'])
    expect(await json(await web.get(`/dicom-web/studies/${study}/series?Modality=CT`))).toEqual([])
    const [instance] = await json(await web.get(`/dicom-web/studies/${study}/instances?limit=1`))
    expect(instance?.['00080018']?.vr).toBe('UI')
    expect(
      values(await json(await web.get(`/dicom-web/instances?SOPInstanceUID=${instance?.['00080018']?.Value?.[0]}`)), '0020000D'),
    ).toEqual([study])
    expect((await web.get('/dicom-web/studies/1.2.3/series')).status).toBe(404)
  })
})

describe('WADO-RS metadata', () => {
  it('says of every file what pydicom reads in it', async () => {
    // FED-21, ARC-13
    const sets = ['charsets', 'syntaxes', 'syntaxes-color', 'us-rgb', 'xa-multiframe', 'dx-small', 'mr-overlay', 'key-object'] as const
    const pairs: [string, JsonDataset | undefined][] = []
    for (const { file } of fixtures(...sets)) {
      const receipt = await storeUnlessNameless(file)
      if (!receipt) continue
      const [own] = await json(await web.getInFull(`${pathOf(receipt)}/metadata`))
      pairs.push([file, own])
      await web.archive.delete(receipt.studyInstanceUid)
    }
    expect(pairs.length).toBeGreaterThan(40)
    const differences = askPydicom('compare-json.py', pairs)
    // Bytes of an implicit VR file's group after Pixel Data are not looked at; nothing else differs.
    expect(differences).toEqual([])
  })

  it('comes compressed when asked, equal when not, and per study, series and instance', async () => {
    const receipt = await web.store(fixture('us-echo', 'I_000002.dcm'))
    const { studyInstanceUid: study, seriesInstanceUid: series } = receipt
    const zipped = await web.get(`/dicom-web/studies/${study}/series/${series}/metadata`, { 'Accept-Encoding': 'gzip' })
    expect(zipped.headers.get('content-encoding')).toBe('gzip')
    const plain = await web.get(`/dicom-web/studies/${study}/series/${series}/metadata`, { 'Accept-Encoding': 'identity' })
    expect(plain.headers.get('content-encoding')).toBeNull()
    const wanted = await json(plain)
    expect(await json(zipped)).toEqual(wanted)
    expect(await json(await web.get(`/dicom-web/studies/${study}/metadata`))).toEqual(wanted)
    expect((await web.get(`${pathOf(receipt)}/metadata`, { Accept: 'application/pdf' })).status).toBe(406)
  })
})

describe('WADO-RS retrieve', () => {
  it('hands out files that DCMTK reads, with the dataset exactly as it was sent', async () => {
    // ARC-09, ARC-26
    const sent = fixture('us-echo', 'I_000002.dcm')
    const receipt = await web.store(sent)
    const response = await web.get(`/dicom-web/studies/${receipt.studyInstanceUid}`, {
      Accept: 'multipart/related; type="application/dicom"; transfer-syntax=*',
    })
    const [part] = await parts(response)
    expect(part?.headers['content-type']).toBe(`application/dicom; transfer-syntax=${receipt.transferSyntaxUid}`)
    const file = path.join(web.test.folder, 'retrieved.dcm')
    writeFileSync(file, part?.body ?? '')
    expect(run('dcmdump', ['+P', '0008,0018', file])).toContain(receipt.sopInstanceUid)
    const dataset = (bytes: Buffer) => bytes.subarray(bytes.indexOf(Buffer.from([0x08, 0x00, 0x05, 0x00])))
    expect(dataset(part?.body ?? Buffer.alloc(0)).equals(dataset(readFileSync(sent)))).toBe(true)
    const single = await web.get(pathOf(receipt), { Accept: 'application/dicom' })
    expect(Buffer.from(await single.arrayBuffer()).equals(part?.body ?? Buffer.alloc(0))).toBe(true)
    expect(
      (await web.get(pathOf(receipt), { Accept: 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.102' }))
        .status,
    ).toBe(406)
  })
})

describe('WADO-RS frames', () => {
  it('decode to the pixels that GDCM and DCMTK agree on, in every transfer syntax', async () => {
    // ARC-03, ARC-26
    const seen: string[] = []
    for (const { file, path: name, decodedMd5 } of fixtures('syntaxes', 'syntaxes-color', 'syntaxes-htj2k', 'us-rgb', 'dx-small').filter(
      (row) => row.decodedMd5 !== '',
    )) {
      const receipt = await storeUnlessNameless(file)
      if (!receipt) continue
      const count = Math.max(1, (await web.archive.instance(receipt.sopInstanceUid))?.numberOfFrames ?? 1)
      const list = Array.from({ length: count }, (_each, index) => index + 1).join(',')
      const frames = await parts(
        await web.get(`${pathOf(receipt)}/frames/${list}`, {
          Accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1',
        }),
      )
      const md5 = createHash('md5')
      for (const { headers, body } of frames) {
        expect(headers['content-type']).toBe('application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1')
        md5.update(body)
      }
      expect(md5.digest('hex'), name).toBe(decodedMd5)
      seen.push(receipt.transferSyntaxUid)
      await web.archive.delete(receipt.studyInstanceUid)
    }
    expect(new Set(seen).size).toBeGreaterThanOrEqual(14)
  })

  it('come as stored to whoever takes any syntax, each with the syntax its bytes are in', async () => {
    const receipt = await web.store(fixture('xa-multiframe', 'jpeg_baseline_8bit.dcm'))
    const stored = await parts(
      await web.get(`${pathOf(receipt)}/frames/1,96,3`, {
        Accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*',
      }),
    )
    expect(stored.map(({ headers, body }) => [headers['content-type'], body.readUInt16BE(0)])).toEqual(
      Array(3).fill(['image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50', 0xffd8]),
    )
    expect(stored[1]?.headers['content-location']).toBe(`${pathOf(receipt)}/frames/96`)
    const bare = await web.get(`${pathOf(receipt)}/frames/3`, { Accept: 'image/jpeg' })
    expect(Buffer.from(await bare.arrayBuffer()).equals(stored[2]?.body ?? Buffer.alloc(0))).toBe(true)
    expect((await web.get(`${pathOf(receipt)}/frames/97`)).status).toBe(404)
    expect((await web.get(`${pathOf(receipt)}/frames/0`)).status).toBe(400)
    expect((await web.get(`${pathOf(receipt)}/frames/1`, { Accept: 'multipart/related; type="image/jls"' })).status).toBe(406)
  })

  it('of files in big endian and deflated are handed out in little endian', async () => {
    const natives = fixtures('syntaxes').filter(({ path: name }) => /BigEndian|Deflated|1\.2\.840\.10008\.1\.2\.1\.dcm/.test(name))
    const digests = []
    for (const { file } of natives) {
      const receipt = await web.store(file)
      const [frame] = await parts(await web.get(`${pathOf(receipt)}/frames/1`))
      expect(frame?.headers['content-type']).toBe('application/octet-stream; transfer-syntax=1.2.840.10008.1.2.1')
      digests.push(
        createHash('md5')
          .update(frame?.body ?? '')
          .digest('hex'),
      )
      await web.archive.delete(receipt.studyInstanceUid)
    }
    expect(digests).toEqual(natives.map(({ decodedMd5 }) => decodedMd5))
  })
})

describe('WADO-RS bulkdata', () => {
  it('answers the values that metadata point to, inside sequences too', async () => {
    const table = Buffer.alloc(8_000, 7)
    const { headers, body } = multipartBody([
      buildFile(
        aSlice({
          StudyInstanceUID: '2.25.80',
          SeriesInstanceUID: '2.25.81',
          SOPInstanceUID: '2.25.801',
          ModalityLUTSequence: [{ ModalityLUTType: 'US' }, { 'LUTData:OW': table }],
        }),
      ),
    ])
    await fetch(`${web.url}/dicom-web/studies`, { method: 'POST', headers: { ...web.headers, ...headers }, body })
    const [dataset] = await json(await web.get('/dicom-web/studies/2.25.80/metadata'))
    const nested = (dataset?.['00283000']?.Value?.[1] as JsonDataset)['00283006']?.BulkDataURI ?? ''
    const [lut] = await parts(await web.get(nested))
    expect(lut?.body.equals(table)).toBe(true)
    const pixels = await web.get(dataset?.['7FE00010']?.BulkDataURI ?? '', { Accept: 'application/octet-stream' })
    expect(Buffer.from(await pixels.arrayBuffer())).toEqual(Buffer.from([1, 0, 2, 0, 3, 0, 4, 0]))
    expect((await web.get(nested.replace('/1/', '/7/'))).status).toBe(404)
  })
})

describe('pictures of images', () => {
  const mean = async (response: Response) =>
    (
      await sharp(Buffer.from(await response.arrayBuffer()))
        .greyscale()
        .stats()
    ).channels[0]?.mean ?? -1

  it('are made of every kind of image, small ones for lists', async () => {
    for (const name of [
      'us-rgb/examples_ybr_color.dcm',
      'dx-small/dx_image.dcm',
      'xa-multiframe/jpeg_baseline_8bit.dcm',
      'mr-overlay/examples_overlay.dcm',
    ]) {
      const [set = '', file = ''] = name.split('/')
      const receipt = await web.store(fixture(set, file))
      const { rows, columns } = (await web.archive.instance(receipt.sopInstanceUid)) ?? { rows: 0, columns: 0 }
      const rendered = await web.get(`${pathOf(receipt)}/rendered`, { Accept: 'image/png' })
      expect([rendered.status, rendered.headers.get('content-type')], name).toEqual([200, 'image/png'])
      expect(await sharp(Buffer.from(await rendered.arrayBuffer())).metadata(), name).toMatchObject({ width: columns, height: rows })
      const thumbnail = await web.get(`/dicom-web/studies/${receipt.studyInstanceUid}/thumbnail`)
      const { width = 0, height = 0 } = await sharp(Buffer.from(await thumbnail.arrayBuffer())).metadata()
      expect(Math.max(width, height)).toBe(128)
    }
  })

  it('follow window, viewport and quality', async () => {
    const receipt = await web.store(fixture('dx-small', 'dx_image.dcm'))
    const picture = (query: string) => web.get(`${pathOf(receipt)}/rendered?${query}`)
    expect(await mean(await picture('window=-100000,10'))).toBe(0) // MONOCHROME1: what lies above the window is black
    expect(await mean(await picture('window=100000,10'))).toBe(255)
    const { width } = await sharp(Buffer.from(await (await picture('viewport=64,64')).arrayBuffer())).metadata()
    expect(width).toBeLessThanOrEqual(64)
    for (const wrong of ['window=a,b', 'window=1,0', 'viewport=0,0', 'quality=0']) expect((await picture(wrong)).status, wrong).toBe(400)
  })

  it('are refused, not attempted for ever, when the pixel module lies', async () => {
    const { headers, body } = multipartBody([
      buildFile(
        aSlice({ StudyInstanceUID: '2.25.90', SeriesInstanceUID: '2.25.91', SOPInstanceUID: '2.25.901', Rows: 65_535, Columns: 65_535 }),
      ),
    ])
    await fetch(`${web.url}/dicom-web/studies`, { method: 'POST', headers: { ...web.headers, ...headers }, body })
    const response = await web.get('/dicom-web/studies/2.25.90/series/2.25.91/instances/2.25.901/rendered')
    expect([response.status, await codeOf(response)]).toEqual([406, 'archive/not-renderable'])
  })
})

describe('WADO-URI', () => {
  it('answers an instance as a DICOM file and as a picture', async () => {
    // FED-24, AGT-08
    const receipt = await web.store(fixture('dx-small', 'dx_image.dcm'))
    const base = `/wado?requestType=WADO&studyUID=${receipt.studyInstanceUid}&seriesUID=${receipt.seriesInstanceUid}&objectUID=${receipt.sopInstanceUid}`
    const dicom = await web.get(`${base}&contentType=application%2Fdicom`)
    expect(dicom.headers.get('content-type')).toContain('application/dicom')
    const bytes = Buffer.from(await dicom.arrayBuffer())
    const file = path.join(web.test.folder, 'wado.dcm')
    writeFileSync(file, bytes)
    expect(bytes.length).toBe(receipt.sizeBytes)
    expect(run('dcmdump', ['+P', '0008,0018', file])).toContain(receipt.sopInstanceUid)

    const jpeg = await web.get(base)
    expect(jpeg.headers.get('content-type')).toBe('image/jpeg')
    const small = await web.get(
      `${base}&contentType=image/png&rows=32&columns=32&windowCenter=100&windowWidth=200&frameNumber=1&region=0.25,0.25,0.75,0.75`,
    )
    const { format, width = 99, height = 99 } = await sharp(Buffer.from(await small.arrayBuffer())).metadata()
    expect([format, width <= 32 && height <= 32]).toEqual(['png', true])
  })

  it('refuses incomplete and impossible requests', async () => {
    const receipt = await web.store(fixture('dx-small', 'dx_image.dcm'))
    const ask = async (change: Record<string, string>) => {
      const query = new URLSearchParams({
        requestType: 'WADO',
        studyUID: receipt.studyInstanceUid,
        seriesUID: receipt.seriesInstanceUid,
        objectUID: receipt.sopInstanceUid,
        ...change,
      })
      return (await web.get(`/wado?${query}`)).status
    }
    expect(await ask({ requestType: 'X' })).toBe(400)
    expect(await ask({ objectUID: '../etc' })).toBe(400)
    expect(await ask({ objectUID: '1.2.3' })).toBe(404)
    expect(await ask({ seriesUID: '1.2.3' })).toBe(404)
    expect(await ask({ contentType: 'video/mpeg' })).toBe(406)
    expect(await ask({ windowCenter: '40' })).toBe(400)
    expect(await ask({ anonymize: 'yes' })).toBe(406)
    expect(await ask({ frameNumber: '2' })).toBe(404)
  })
})
