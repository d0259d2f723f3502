import { Buffer } from 'node:buffer'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import dcmjsDimse from 'dcmjs-dimse'
import dcmjs from 'dcmjs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { aSlice } from '../../src/archive/archive.builder.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { transferSyntax, transferSyntaxUids } from '../../src/dicom/transfer-syntax.ts'
import { echo, sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfFile } from '../../src/dimse/stored-instance.ts'
import { readManifest } from '../../../scripts/fixtures.mjs'
import { datasetOf, fixture, type Receiver, run, startReceiver, storedDataset } from './dimse-support.ts'

const CT = '1.2.840.10008.5.1.4.1.1.2'

describe('DCMTK as the peer', () => {
  let receiver: Receiver
  const target = () => ['127.0.0.1', String(receiver.port)]
  beforeAll(async () => {
    receiver = await startReceiver({ isAllowed: async (aeTitle) => aeTitle !== 'STRANGER' })
  })
  afterAll(() => receiver.stop())

  it('gets its echo answered', async () => {
    // ARC-02
    expect(await run('echoscu', ['-v', '-aec', 'LIANPIAN', ...target()])).toMatchObject({
      code: 0,
      output: expect.stringContaining('Received Echo Response (Success)'),
    })
  })

  it('is told that its AE title is not recognised', async () => {
    // ARC-02, ARC-05
    const { code, output } = await run('echoscu', ['-aet', 'STRANGER', ...target()])
    expect(code).not.toBe(0)
    expect(output).toContain('Rejected Permanent, Source: Service User')
    expect(output).toContain('Calling AE Title Not Recognized')
    expect(receiver.refusals).toContainEqual(
      expect.objectContaining({ callingAeTitle: 'STRANGER', problem: expect.objectContaining({ code: 'dimse/unknown-ae' }) }),
    )
    expect(receiver.logged.join('')).toContain('"callingAeTitle":"STRANGER"')
  })

  it('is told which presentation contexts are not supported, and why', async () => {
    // ARC-02
    const worklist = await run('findscu', ['-v', '-W', '-k', 'PatientName', ...target()])
    expect(worklist.output).toContain('No Acceptable Presentation Contexts')
    const debug = await run('findscu', ['-d', '-W', '-k', 'PatientName', ...target()])
    expect(debug.output).toContain('Abstract Syntax Not Supported')
  })

  it('has a series on disk and registered when it hears success', async () => {
    // FED-21, ARC-04
    const files = (await readdir(fixture('ct-head-tiny'))).map((file) => fixture('ct-head-tiny', file))
    const { code, output } = await run('storescu', ['-v', '-R', '-aet', 'CT01', ...target(), ...files])
    expect(code).toBe(0)
    expect(output.match(/Received Store Response \(Success\)/g)).toHaveLength(files.length)
    const [study] = await receiver.archive.archive.studies()
    expect(study).toMatchObject({ seriesCount: 1, instanceCount: files.length })
    const rows = readManifest().filter((row) => row['path']?.startsWith('ct-head-tiny/'))
    for (const row of rows.slice(0, 5)) {
      const sent = await datasetOf(fixture('ct-head-tiny', path.basename(row['path'] ?? '')))
      const stored = await storedDataset(receiver.archive, row['sop_instance_uid'] ?? '')
      // DCMTK writes the header anew; the pixels, 64 x 64 of two bytes, are the end of both.
      expect(stored.bytes.subarray(-8192).equals(sent.bytes.subarray(-8192))).toBe(true)
    }
  })

  it('leaves one object when it sends the same twice', async () => {
    // FED-22
    const before = receiver.archive.archive.totals().instances
    await run('storescu', ['-R', ...target(), fixture('ct-head-tiny', 'CTHead1.dcm')])
    expect(receiver.archive.archive.totals().instances).toBe(before)
  })

  it('finds the study again, down to its images', async () => {
    // FED-21
    const [study] = await receiver.archive.archive.studies()
    const uid = study?.studyInstanceUid ?? ''
    const studies = await run('findscu', [
      '-v',
      '-S',
      '-k',
      'QueryRetrieveLevel=STUDY',
      '-k',
      'StudyInstanceUID',
      '-k',
      'NumberOfStudyRelatedInstances',
      '-k',
      `PatientID=${study?.patientId}`,
      ...target(),
    ])
    expect(studies.output).toContain(`[${uid}`)
    expect(studies.output).toContain('[93]')
    const series = await run('findscu', [
      '-v',
      '-P',
      '-k',
      'QueryRetrieveLevel=SERIES',
      '-k',
      `PatientID=${study?.patientId}`,
      '-k',
      `StudyInstanceUID=${uid}`,
      '-k',
      'SeriesInstanceUID',
      '-k',
      'Modality',
      ...target(),
    ])
    expect(series.output).toContain('CS [CT]')
    const seriesUid = /SeriesInstanceUID/.test(series.output)
      ? (/\(0020,000e\) UI \[([0-9.]+)/g.exec(series.output.split('Pending').at(-1) ?? '')?.[1] ?? '')
      : ''
    const images = await run('findscu', [
      '-v',
      '-S',
      '-k',
      'QueryRetrieveLevel=IMAGE',
      '-k',
      `StudyInstanceUID=${uid}`,
      '-k',
      `SeriesInstanceUID=${seriesUid}`,
      '-k',
      'SOPInstanceUID',
      ...target(),
    ])
    expect(images.output.match(/Find Response: \d+ \(Pending\)/g)).toHaveLength(93)
    expect(images.output).toContain('Received Final Find Response (Success)')
  })

  it('is answered as cancelled when it cancels', async () => {
    const [study] = await receiver.archive.archive.studies()
    const [series] = await receiver.archive.archive.series(study?.studyInstanceUid)
    const keys = [
      '-k',
      'QueryRetrieveLevel=IMAGE',
      '-k',
      `StudyInstanceUID=${study?.studyInstanceUid}`,
      '-k',
      `SeriesInstanceUID=${series?.seriesInstanceUid}`,
      '-k',
      'SOPInstanceUID',
    ]
    const { output } = await run('findscu', ['-v', '-S', '--cancel', '1', ...keys, ...target()])
    expect(output).toContain('Sending Cancel Request')
    expect(output).toMatch(/Received Final Find Response \((Cancel|Success)/)
  })

  it('hears that a query for series must name the study', async () => {
    const { output } = await run('findscu', ['-d', '-S', '-k', 'QueryRetrieveLevel=SERIES', '-k', 'SeriesInstanceUID', ...target()])
    expect(output).toMatch(/0xa900/i)
  })

  it('may come eight at a time', async () => {
    // AGT-08
    const files = (await readdir(fixture('ct-head-tiny'))).map((file) => fixture('ct-head-tiny', file))
    const shares = Array.from({ length: 8 }, (_, share) => files.filter((_file, index) => index % 8 === share))
    const results = await Promise.all(shares.map((share) => run('storescu', ['-R', ...target(), ...share])))
    expect(results.map(({ code }) => code)).toEqual(Array.from({ length: 8 }, () => 0))
  })
})

describe('character sets and limits of queries', () => {
  let receiver: Receiver
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lianpian-dimse-'))
    receiver = await startReceiver({ charset: 'GB18030', limits: { maxMatches: 2 } })
    for (let n = 1; n <= 3; n++) {
      const file = path.join(folder, `${n}.dcm`)
      await writeFile(
        file,
        buildFile(
          aSlice({
            SOPInstanceUID: `2.25.50${n}`,
            StudyInstanceUID: `2.25.5${n}`,
            SeriesInstanceUID: `2.25.51${n}`,
            PatientName: 'Wang^XiaoDong=王^小东',
          }),
        ),
      )
      await sendInstances(
        { aeTitle: 'LIANPIAN', host: '127.0.0.1', port: receiver.port },
        [instanceOfFile(file, { sopClassUid: CT, sopInstanceUid: `2.25.50${n}`, transferSyntaxUid: '1.2.840.10008.1.2.1' })],
        { callingAeTitle: 'CT01' },
      )
    }
  })
  afterAll(async () => {
    await receiver.stop()
    await rm(folder, { recursive: true })
  })

  it('answers Chinese names in GB18030 where a hospital asks for it', async () => {
    // LOC-03
    const { output } = await run('findscu', [
      '-S',
      '-X',
      '-od',
      folder,
      '-k',
      'QueryRetrieveLevel=STUDY',
      '-k',
      'PatientName',
      '-k',
      'StudyInstanceUID=2.25.51',
      '127.0.0.1',
      String(receiver.port),
    ])
    expect(output).toBe('')
    const answer = await readFile(path.join(folder, 'rsp0001.dcm'))
    expect(answer.includes(Buffer.from('57616e675e5869616f446f6e673dcdf55ed0a1b6ab', 'hex'))).toBe(true)
    expect(answer.includes('GB18030')).toBe(true)
  })

  it('stops at the limit and says so', async () => {
    const { output } = await run('findscu', [
      '-d',
      '-S',
      '-k',
      'QueryRetrieveLevel=STUDY',
      '-k',
      'StudyInstanceUID',
      '127.0.0.1',
      String(receiver.port),
    ])
    expect(output.match(/DIMSE Status\s+: 0xff00/g)).toHaveLength(2)
    expect(output).toContain('0xa700')
    expect(output).toContain('more than 2 matches')
  })
})

describe('every transfer syntax', () => {
  let receiver: Receiver
  beforeAll(async () => {
    receiver = await startReceiver()
  })
  afterAll(() => receiver.stop())

  const send = async (file: string, sopClassUid: string, sopInstanceUid: string, transferSyntaxUid: string) => {
    const peer = { aeTitle: 'LIANPIAN', host: '127.0.0.1', port: receiver.port }
    const deliveries = await sendInstances(peer, [instanceOfFile(file, { sopClassUid, sopInstanceUid, transferSyntaxUid })], {
      callingAeTitle: 'CT01',
    })
    expect(deliveries).toEqual([{ kind: 'stored', sopInstanceUid }])
    const [sent, stored] = [await datasetOf(file), await storedDataset(receiver.archive, sopInstanceUid)]
    expect(stored.transferSyntaxUid).toBe(transferSyntaxUid)
    expect(stored.bytes.equals(sent.bytes)).toBe(true)
  }

  const real = readManifest().filter((row) => row['path']?.startsWith('syntaxes/'))
  it.each(real.map((row) => [row['transfer_syntax_uid'] ?? '', row] as const))(
    'of a real CT is stored as sent: %s',
    async (transferSyntaxUid, row) => {
      // ARC-03, ARC-09
      await send(fixture('syntaxes', path.basename(row['path'] ?? '')), CT, row['sop_instance_uid'] ?? '', transferSyntaxUid)
    },
  )

  it.each(transferSyntaxUids.filter((uid) => transferSyntax(uid).encapsulated))(
    'that carries fragments is stored as sent: %s',
    async (transferSyntaxUid) => {
      // ARC-03
      const file = path.join(receiver.archive.folder, 'sent.dcm')
      const fragments = [new Uint8Array(0), new Uint8Array(3_000).fill(7), new Uint8Array(5_000).fill(9)]
      await writeFile(
        file,
        buildFile(
          { ...aSlice({ SOPInstanceUID: '2.25.601', StudyInstanceUID: '2.25.6', SeriesInstanceUID: '2.25.61' }), PixelData: { fragments } },
          { transferSyntaxUid },
        ),
      )
      await send(file, CT, '2.25.601', transferSyntaxUid)
    },
  )

  it('that DCMTK can send compressed arrives compressed', async () => {
    const file = fixture('syntaxes', 'CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm')
    expect(await run('storescu', ['-xs', '-R', '127.0.0.1', String(receiver.port), file])).toMatchObject({ code: 0 })
    const stored = await storedDataset(receiver.archive, '1.2.840.113619.2.30.1.1762295590.1623.978668950.109')
    expect(stored.transferSyntaxUid).toBe('1.2.840.10008.1.2.4.70')
  })
})

describe('dcmjs-dimse as the peer', () => {
  let receiver: Receiver
  beforeAll(async () => {
    dcmjs.log.setLevel('error')
    dcmjsDimse.log.setLevel('error')
    receiver = await startReceiver()
  })
  afterAll(() => receiver.stop())

  /** Sends one request and collects its responses. */
  function ask(request: InstanceType<typeof dcmjsDimse.requests.CEchoRequest>) {
    return new Promise<{ status: number; elements: unknown }[]>((resolve, reject) => {
      const responses: { status: number; elements: unknown }[] = []
      const client = new dcmjsDimse.Client()
      request.on('response', (response) =>
        responses.push({
          status: response.getStatus(),
          elements: response.hasDataset() ? response.getDataset()?.getElements() : undefined,
        }),
      )
      client.on('closed', () => resolve(responses))
      client.on('networkError', reject)
      client.on('associationRejected', (result) => reject(new Error(`rejected: ${String(result.reason)}`)))
      client.addRequest(request)
      client.send('127.0.0.1', receiver.port, 'DCMJS', 'LIANPIAN')
    })
  }

  it('echoes, stores and finds what it stored', async () => {
    // ARC-02, FED-21
    const { CEchoRequest, CStoreRequest, CFindRequest } = dcmjsDimse.requests
    expect(await ask(new CEchoRequest())).toEqual([{ status: 0, elements: undefined }])
    expect(await ask(new CStoreRequest(fixture('ct-head-tiny', 'CTHead7.dcm')))).toMatchObject([{ status: 0 }])
    const [found, end] = await ask(
      CFindRequest.createStudyFindRequest({ PatientName: '*', StudyInstanceUID: '', NumberOfStudyRelatedInstances: '' }),
    )
    expect(found).toMatchObject({ status: 0xff00, elements: { NumberOfStudyRelatedInstances: 1 } })
    expect(end).toMatchObject({ status: 0 })
  })
})

describe('TLS', () => {
  let folder: string
  let receiver: Receiver
  const pem = (name: string) => path.join(folder, name)
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lianpian-tls-'))
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
    const made = await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      pem('key.pem'),
      '-out',
      pem('cert.pem'),
      ...subject,
    ])
    if (made.code !== 0) throw new Error(made.output)
    const [key, cert] = await Promise.all([readFile(pem('key.pem'), 'utf8'), readFile(pem('cert.pem'), 'utf8')])
    receiver = await startReceiver({ tls: { key, cert, ca: cert } })
  })
  afterAll(async () => {
    await receiver.stop()
    await rm(folder, { recursive: true })
  })

  it('serves a peer with a trusted certificate, DCMTK and ourselves', async () => {
    // AGT-09
    const dcmtk = await run('echoscu', [
      '-v',
      '+tls',
      pem('key.pem'),
      pem('cert.pem'),
      '+cf',
      pem('cert.pem'),
      '127.0.0.1',
      String(receiver.port),
    ])
    expect(dcmtk.output).toContain('Received Echo Response (Success)')
    const [key, cert] = await Promise.all([readFile(pem('key.pem'), 'utf8'), readFile(pem('cert.pem'), 'utf8')])
    expect(
      await echo({ aeTitle: 'LIANPIAN', host: '127.0.0.1', port: receiver.port, tls: { ca: cert, cert, key } }, { callingAeTitle: 'NODE' }),
    ).toMatchObject({ ok: true })
  })

  it('refuses a peer without certificate, or without TLS, and goes on', async () => {
    const anonymous = await run('echoscu', ['+tla', '+cf', pem('cert.pem'), '127.0.0.1', String(receiver.port)])
    expect(anonymous.code).not.toBe(0)
    expect((await run('echoscu', ['-ta', '5', '-to', '5', '127.0.0.1', String(receiver.port)])).code).not.toBe(0)
    expect(receiver.refusals.length).toBeGreaterThanOrEqual(2)
    expect(
      (await run('echoscu', ['+tls', pem('key.pem'), pem('cert.pem'), '+cf', pem('cert.pem'), '127.0.0.1', String(receiver.port)])).code,
    ).toBe(0)
  })
})
