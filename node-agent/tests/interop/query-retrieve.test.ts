import { readdir, readFile } from 'node:fs/promises'
import { connect as connectNet, createServer } from 'node:net'
import path from 'node:path'
import dcmjs from 'dcmjs'
import dcmjsDimse from 'dcmjs-dimse'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { EXPLICIT_LE, IMPLICIT_LE } from '../../src/dicom/transfer-syntax.ts'
import { type StorageSink } from '../../src/dimse/services.ts'
import { findAt, getFrom, moveFrom } from '../../src/dimse/scu-query.ts'
import { datasetIn, fixture, freePort, run, startReceiver, until } from './dimse-support.ts'
import { type Destination, type RetrieveService, startDestination, startRetrieveService } from './retrieve-support.ts'

const JPEG_LOSSLESS = '1.2.840.10008.1.2.4.70'
const us = { callingAeTitle: 'WS01' }

let service: RetrieveService
let workstation: Destination
/** A head of 93 slices, and one slice in JPEG lossless. */
const head = { patientId: '', study: '', series: '', instances: [] as string[] }
const jpeg = { study: '', series: '', instance: '' }

beforeAll(async () => {
  dcmjs.log.setLevel('error')
  dcmjsDimse.log.setLevel('error')
  service = await startRetrieveService()
  workstation = await startDestination('WS01')
  service.nodes.set('WS01', workstation.peer)
  const names = (await readdir(fixture('ct-head-tiny'))).slice(0, 20)
  for (const name of names) {
    const stored = await service.store(fixture('ct-head-tiny', name))
    Object.assign(head, { study: stored.studyInstanceUid, series: stored.seriesInstanceUid })
    head.instances.push(stored.sopInstanceUid)
  }
  head.patientId = (await service.archive.archive.study(head.study))?.patientId ?? ''
  const stored = await service.store(fixture('syntaxes', 'CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm'))
  Object.assign(jpeg, { study: stored.studyInstanceUid, series: stored.seriesInstanceUid, instance: stored.sopInstanceUid })
}, 60_000)
afterAll(async () => {
  await workstation.stop()
  await service.stop()
})
beforeEach(() => workstation.empty())

const address = () => ['127.0.0.1', String(service.peer.port)]
const keysOf = (keys: Readonly<Record<string, string>>) => Object.entries(keys).flatMap(([keyword, text]) => ['-k', text === '' ? keyword : `${keyword}=${text}`])

describe('findscu of DCMTK', () => {
  // ARC-15, FED-25
  const levels = (): { root: string; level: string; keys: Record<string, string>; matches: number }[] => [
    { root: '-P', level: 'PATIENT', keys: { PatientID: head.patientId, NumberOfPatientRelatedStudies: '' }, matches: 1 },
    { root: '-P', level: 'STUDY', keys: { PatientID: head.patientId, StudyInstanceUID: '' }, matches: 1 },
    { root: '-P', level: 'SERIES', keys: { PatientID: head.patientId, StudyInstanceUID: head.study, SeriesInstanceUID: '' }, matches: 1 },
    { root: '-P', level: 'IMAGE', keys: { PatientID: head.patientId, StudyInstanceUID: head.study, SeriesInstanceUID: head.series, SOPInstanceUID: '' }, matches: 20 },
    { root: '-S', level: 'STUDY', keys: { StudyInstanceUID: head.study, PatientName: '' }, matches: 1 },
    { root: '-S', level: 'SERIES', keys: { StudyInstanceUID: head.study, SeriesInstanceUID: '' }, matches: 1 },
    { root: '-S', level: 'IMAGE', keys: { StudyInstanceUID: head.study, SeriesInstanceUID: head.series, SOPInstanceUID: '' }, matches: 20 },
  ]
  it('finds at each level of both roots', async () => {
    for (const { root, level, keys, matches } of levels()) {
      const { output } = await run('findscu', ['-v', root, ...keysOf({ QueryRetrieveLevel: level, ...keys }), ...address()])
      expect(output.match(/Find Response: \d+ \(Pending\)/g), `${root} ${level}`).toHaveLength(matches)
      expect(output, `${root} ${level}`).toContain('Received Final Find Response (Success)')
    }
  })
})

describe('movescu of DCMTK', () => {
  const move = (keys: Readonly<Record<string, string>>, ...more: string[]) =>
    run('movescu', ['-v', '-aet', 'WS01', '-aem', 'WS01', '-S', ...keysOf(keys), ...more, ...address()])

  // ARC-15, FED-25
  it('has a study, a series, single images sent to a registered node', async () => {
    const one = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: head.study }
    expect((await move(one)).output).toContain('Received Final Move Response (Success)')
    expect(await workstation.files()).toHaveLength(20)
    await workstation.empty()
    expect((await move({ ...one, QueryRetrieveLevel: 'SERIES', SeriesInstanceUID: head.series })).output).toContain('(Success)')
    expect(await workstation.files()).toHaveLength(20)
    await workstation.empty()
    const two = head.instances.slice(0, 2).join('\\')
    await move({ ...one, QueryRetrieveLevel: 'IMAGE', SeriesInstanceUID: head.series, SOPInstanceUID: two })
    expect(await workstation.files()).toHaveLength(2)
    expect(service.moved.at(-1)).toMatchObject({ destinationAeTitle: 'WS01', studyInstanceUid: head.study, sent: 2, failed: 0 })
  })

  it('has all of a patient sent by Patient Root, and two studies at once', async () => {
    // ARC-15
    const patient = await run('movescu', ['-v', '-aem', 'WS01', '-P', ...keysOf({ QueryRetrieveLevel: 'PATIENT', PatientID: head.patientId }), ...address()])
    expect(patient.output).toContain('Received Final Move Response (Success)')
    expect(await workstation.files()).toHaveLength(20)
    await workstation.empty()
    await move({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: `${head.study}\\${jpeg.study}` })
    expect(await workstation.files()).toHaveLength(21)
  })

  it('is told that a destination is not registered', async () => {
    // FED-25
    const { output } = await run('movescu', ['-v', '-aem', 'NOBODY', '-S', ...keysOf({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: head.study }), ...address()])
    expect(output).toMatch(/Final Move Response \(Refused: MoveDestinationUnknown\)/)
    expect(service.refusals).toContainEqual(expect.objectContaining({ problem: expect.objectContaining({ code: 'dimse/unknown-destination' }) }))
  })

  it('is refused without the keys that the level needs', async () => {
    const { output } = await move({ QueryRetrieveLevel: 'SERIES', SeriesInstanceUID: head.series })
    expect(output).toMatch(/Final Move Response \((Error|Failed): (DataSet|Identifier)DoesNotMatchSOPClass\)/)
    expect(await workstation.files()).toEqual([])
  })

  it('has a compressed image made plain for a node that takes nothing else, pixel for pixel', async () => {
    // FED-25, ARC-03
    const plain = await startDestination('PLAIN', '+xi')
    service.nodes.set('PLAIN', plain.peer)
    try {
      const { output } = await run('movescu', ['-v', '-aem', 'PLAIN', '-S', ...keysOf({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: jpeg.study }), ...address()])
      expect(output).toContain('Received Final Move Response (Success)')
      expect(await plain.syntaxes()).toEqual([IMPLICIT_LE])
      const decoded = path.join(plain.folder, 'decoded.dcm')
      await run('dcmdjpeg', [fixture('syntaxes', 'CTImage.dcm_JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm'), decoded])
      const [file = ''] = await plain.files()
      const [ours, theirs] = [await pixelsOf(file, plain.folder), await pixelsOf(decoded, plain.folder)]
      expect(ours.length).toBeGreaterThan(1_000)
      expect(ours.equals(theirs)).toBe(true)
    } finally {
      await plain.stop()
    }
  })
})

/** The pixels as DCMTK sees them. */
async function pixelsOf(file: string, folder: string): Promise<Buffer> {
  const raw = path.join(folder, 'raw')
  await run('dcmdump', ['+W', folder, '+P', 'PixelData', file])
  const [name] = (await readdir(folder)).filter((each) => each.endsWith('.raw'))
  const bytes = await readFile(path.join(folder, name ?? raw))
  await run('rm', [path.join(folder, name ?? raw)])
  return bytes
}

describe('getscu of DCMTK', () => {
  // ARC-15
  it('gets an image, and a whole study, on its own association', async () => {
    const folder = workstation.folder
    const get = (keys: Readonly<Record<string, string>>) => run('getscu', ['-v', '-S', '-od', path.join(folder, 'received'), ...keysOf(keys), ...address()])
    const one = await get({ QueryRetrieveLevel: 'IMAGE', StudyInstanceUID: head.study, SeriesInstanceUID: head.series, SOPInstanceUID: head.instances[0] ?? '' })
    expect(one.code, one.output).toBe(0)
    expect(await workstation.files()).toHaveLength(1)
    await workstation.empty()
    const all = await get({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: head.study })
    expect(all.code, all.output).toBe(0)
    expect(await workstation.files()).toHaveLength(20)
    await workstation.empty()
    // getscu proposes uncompressed syntaxes alone: what is stored compressed is changed for it.
    await get({ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: jpeg.study })
    expect(await workstation.syntaxes()).toEqual([EXPLICIT_LE])
  })
})

describe('dcmjs-dimse', () => {
  /** Asks, and collects its responses and what is stored to it meanwhile. */
  function ask(request: InstanceType<typeof dcmjsDimse.requests.CMoveRequest> | InstanceType<typeof dcmjsDimse.requests.CGetRequest>) {
    return new Promise<{ responses: Record<string, number>[]; stored: string[] }>((resolve, reject) => {
      const responses: Record<string, number>[] = []
      const stored: string[] = []
      const client = new dcmjsDimse.Client()
      request.on('response', (response) => responses.push({ status: response.getStatus(), completed: response.getCompleted(), failed: response.getFailures() }))
      client.on('cStoreRequest', (store, answer) => {
        stored.push(String(store.getAffectedSopInstanceUid()))
        const response = dcmjsDimse.responses.CStoreResponse.fromRequest(store)
        response.setStatus(0)
        answer(response)
      })
      client.on('closed', () => resolve({ responses, stored }))
      client.on('networkError', reject)
      client.addRequest(request)
      client.send('127.0.0.1', service.peer.port, 'DCMJS', 'LIANPIAN')
    })
  }

  it('moves a series and gets one', async () => {
    // ARC-15, FED-25
    const { CMoveRequest, CGetRequest } = dcmjsDimse.requests
    const moved = await ask(CMoveRequest.createSeriesMoveRequest('WS01', head.study, head.series))
    expect(moved.responses.at(-1)).toEqual({ status: 0, completed: 20, failed: 0 })
    expect(await workstation.files()).toHaveLength(20)
    const got = await ask(CGetRequest.createSeriesGetRequest(head.study, head.series))
    expect(got.responses.at(-1)).toEqual({ status: 0, completed: 20, failed: 0 })
    expect(got.stored.sort()).toEqual([...head.instances].sort())
  })
})

describe('our own client', () => {
  it('finds, with Chinese names, and stops when it has enough', async () => {
    // ARC-04
    const studies = []
    for await (const match of findAt(service.peer, { root: 'study', level: 'STUDY', keys: { PatientName: '*', StudyInstanceUID: '', StudyDate: '' } }, us)) studies.push(match)
    expect(studies.map((study) => study['StudyInstanceUID']).sort()).toEqual([head.study, jpeg.study].sort())
    let taken = 0
    const asked = { root: 'study', level: 'IMAGE', keys: { StudyInstanceUID: head.study, SeriesInstanceUID: head.series, SOPInstanceUID: '' } } as const
    for await (const _match of findAt(service.peer, asked, us)) if (++taken === 3) break
    expect(taken).toBe(3)
  })

  it('asks for images by their UID alone where the peer agrees to relational queries', async () => {
    // ARC-15
    const asked = { root: 'study', level: 'IMAGE', keys: { SOPInstanceUID: head.instances[3] ?? '', StudyInstanceUID: '' } } as const
    const found = []
    for await (const match of findAt(service.peer, asked, { ...us, relational: true })) found.push(match['StudyInstanceUID'])
    expect(found).toEqual([head.study])
    await expect(findAt(service.peer, asked, us).next()).rejects.toMatchObject({ code: 'dimse/failed-at-peer', facts: { status: 'a900' } })
  })

  it('has images moved, and is told the counts', async () => {
    // ARC-04
    const asked = { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: head.study }, destinationAeTitle: 'WS01' } as const
    expect(await moveFrom(service.peer, asked, us)).toEqual({ status: 0, remaining: 0, completed: 20, failed: 0, warning: 0, failedSopInstanceUids: [] })
    expect(await moveFrom(service.peer, { ...asked, destinationAeTitle: 'NOBODY' }, us)).toMatchObject({ status: 0xa801, completed: 0 })
  })

  it('gets images as they are stored, compressed ones too', async () => {
    // ARC-04
    const got = new Map<string, { syntax: string; bytes: Buffer }>()
    const studies = { StudyInstanceUID: `${head.study}\\${jpeg.study}` }
    const fetched = await getFrom(service.peer, { root: 'study', level: 'STUDY', keys: studies, sopClassUids: ['1.2.840.10008.5.1.4.1.1.2'] }, keptIn(got), us)
    expect(fetched).toMatchObject({ status: 0, completed: 21, failed: 0 })
    expect(fetched.stored).toHaveLength(21)
    expect(got.get(jpeg.instance)?.syntax).toBe(JPEG_LOSSLESS)
    const file = await service.archive.archive.open(jpeg.instance)
    expect(got.get(jpeg.instance)?.bytes.equals(datasetIn(await file.read(0, file.sizeBytes)).bytes)).toBe(true)
  })

  it('is told which images it refused itself', async () => {
    const refusing: StorageSink = { begin: () => Promise.reject(new Error('no room')) }
    const fetched = await getFrom(service.peer, { root: 'study', level: 'STUDY', keys: { StudyInstanceUID: jpeg.study } }, refusing, us)
    expect(fetched).toMatchObject({ status: 0xa702, completed: 0, failed: 1, failedSopInstanceUids: [jpeg.instance] })
    expect(fetched.refused).toHaveLength(1)
  })
})

/** Keeps what comes in memory. */
function keptIn(got: Map<string, { syntax: string; bytes: Buffer }>, delayMs = 0): StorageSink {
  return {
    async begin({ sopInstanceUid, transferSyntaxUid }) {
      const chunks: Buffer[] = []
      return {
        write: async (chunk) => void chunks.push(Buffer.from(chunk)),
        commit: async () => {
          await new Promise((resolve) => setTimeout(resolve, delayMs))
          got.set(sopInstanceUid, { syntax: transferSyntaxUid, bytes: Buffer.concat(chunks) })
        },
        abort: async () => undefined,
      }
    },
  }
}

describe('retrievals that do not go to their end', () => {
  const studyTo = (destinationAeTitle: string) => ({ root: 'study', level: 'STUDY', keys: { StudyInstanceUID: head.study }, destinationAeTitle }) as const

  /** A destination that takes its time. */
  const slow = async (delayMs: number) => {
    const got = new Map<string, { syntax: string; bytes: Buffer }>()
    const receiver = await startReceiver({ storage: keptIn(got, delayMs) })
    service.nodes.set('SLOW', { aeTitle: 'SLOW', host: '127.0.0.1', port: receiver.port })
    return { got, receiver }
  }

  it('are cancelled in the middle: what was sent is told, and what is left', async () => {
    // ARC-15
    const { got, receiver } = await slow(60)
    const cancel = new AbortController()
    try {
      const moved = await moveFrom(service.peer, studyTo('SLOW'), { ...us, signal: cancel.signal, onProgress: ({ completed }) => completed >= 2 && cancel.abort() })
      expect(moved.status).toBe(0xfe00)
      expect(moved.completed).toBeGreaterThanOrEqual(2)
      expect(moved.completed).toBeLessThan(20)
      expect(moved.completed).toBe(got.size)
      expect(moved.completed + moved.remaining).toBe(20)
    } finally {
      await receiver.stop()
    }
    const stop = new AbortController()
    const fetched = await getFrom(service.peer, { ...studyTo(''), keys: { StudyInstanceUID: head.study } }, keptIn(new Map(), 60), { ...us, signal: stop.signal, onProgress: () => stop.abort() })
    expect(fetched.status).toBe(0xfe00)
    expect(fetched.completed).toBeLessThan(20)
  })

  it('tell which images a destination did not take that died in the middle', async () => {
    // FED-25
    const { got, receiver } = await slow(40)
    const done = moveFrom(service.peer, studyTo('SLOW'), us)
    await until('some have come', () => got.size >= 3)
    await receiver.stop()
    const moved = await done
    expect(moved.status).toBe(0xb000)
    expect(moved.completed).toBeGreaterThanOrEqual(3)
    expect(moved.completed + moved.failed).toBe(20)
    expect(new Set(moved.failedSopInstanceUids).size).toBe(moved.failed)
    for (const uid of moved.failedSopInstanceUids) expect(head.instances).toContain(uid)
  })

  it('fail as a whole when nobody is there', async () => {
    service.nodes.set('GONE', { aeTitle: 'GONE', host: '127.0.0.1', port: await freePort() })
    expect(await moveFrom(service.peer, studyTo('GONE'), us)).toMatchObject({ status: 0xa702, completed: 0, failed: 20 })
  })

  it('go on at the next image when the destination aborts at one', async () => {
    // FED-25: a workstation that chokes on one image gets the others all the same.
    let associations = 0
    const got = new Map<string, { syntax: string; bytes: Buffer }>()
    const receiver = await startReceiver({ storage: keptIn(got) })
    const choking = createServer((socket) => {
      const through = connectNet(receiver.port, '127.0.0.1')
      let count = 0
      const isFirst = ++associations === 1
      through.on('data', (chunk: Buffer) => {
        // The third answer on the first association never arrives.
        if (isFirst && ++count === 4) return void (socket.destroy(), through.destroy())
        socket.write(chunk)
      })
      socket.on('data', (chunk: Buffer) => through.write(chunk))
      for (const each of [socket, through]) each.on('error', () => undefined).on('close', () => (socket.destroy(), through.destroy()))
    })
    await new Promise<void>((resolve) => choking.listen(0, '127.0.0.1', resolve))
    const bound = choking.address()
    service.nodes.set('CHOKING', { aeTitle: 'CHOKING', host: '127.0.0.1', port: typeof bound === 'object' && bound ? bound.port : 0 })
    try {
      const moved = await moveFrom(service.peer, studyTo('CHOKING'), us)
      expect(moved).toMatchObject({ status: 0xb000, completed: 19, failed: 1 })
      expect(associations).toBe(2)
    } finally {
      choking.close()
      await receiver.stop()
    }
  })

  it('wait their turn when too many come at once', async () => {
    const busy = await startRetrieveService({ maxMoves: 2 })
    const { receiver } = await slow(300)
    try {
      const stored = await busy.store(fixture('ct-head-tiny', 'CTHead1.dcm'))
      busy.nodes.set('SLOW', { aeTitle: 'SLOW', host: '127.0.0.1', port: receiver.port })
      const asked = { ...studyTo('SLOW'), keys: { StudyInstanceUID: stored.studyInstanceUid } }
      const statuses = (await Promise.all([1, 2, 3].map(() => moveFrom(busy.peer, asked, us)))).map(({ status }) => status).sort((a, b) => a - b)
      expect(statuses).toEqual([0, 0, 0xa702])
    } finally {
      await receiver.stop()
      await busy.stop()
    }
  })
})
