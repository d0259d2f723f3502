import { readdir, truncate } from 'node:fs/promises'
import path from 'node:path'
import dcmjs from 'dcmjs'
import dcmjsDimse from 'dcmjs-dimse'
import { createLog, createMetrics, type Database, openDatabase } from 'service-kit'
import { parseAeTitle } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import { archiveQuery } from '../../src/dimse/archive-query.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { Commitments } from '../../src/commitment/commitments.ts'
import { commitmentMigrations, listCommitments } from '../../src/commitment/store.ts'
import { type CommitmentResult, type InstanceReference, newTransactionUid } from '../../src/commitment/transaction.ts'
import { askForCommitment } from '../../src/commitment/wire.ts'
import { type DicomPeer } from '../../src/dimse/scu.ts'
import { type DimseServer, startDimseServer } from '../../src/dimse/server.ts'
import { STORAGE_COMMITMENT } from '../../src/dimse/sop-classes.ts'
import { fixture, freePort, run, until } from './dimse-support.ts'

const COMMITMENT_INSTANCE = '1.2.840.10008.1.20.1.1'
const log = createLog({ name: 'commitment', level: 'silent' })

/** A node with an archive that gives and asks for commitments. */
interface CommittingNode {
  readonly archive: TestArchive
  readonly db: Database
  readonly nodes: Map<string, DicomPeer>
  readonly results: { direction: string; subject: string | null; result: CommitmentResult }[]
  server: DimseServer
  commitments: Commitments
  readonly peer: DicomPeer
  /** As after a stop of the process; the port stays. */
  restart(): Promise<void>
  stop(): Promise<void>
}

async function startNode(aeTitle: string): Promise<CommittingNode> {
  const archive = await testArchive()
  const db = await openDatabase({ dialect: 'sqlite', file: path.join(archive.folder, 'node.sqlite') })
  await db.migrate('commitment', commitmentMigrations)
  const nodes = new Map<string, DicomPeer>()
  const results: CommittingNode['results'] = []
  const port = await freePort()
  const start = async () => {
    const commitments = new Commitments({
      db,
      log,
      archives: () => [archive.archive],
      sending: { callingAeTitle: aeTitle, responseMs: 5_000 },
      admit: async () => undefined,
      peerOf: async (title) => nodes.get(title),
      onResult: async (_tx, { direction, subject }, result) => void results.push({ direction, subject, result }),
      retryWaitMs: 50,
      answerWaitMs: 100,
    })
    const server = await startDimseServer({
      host: '127.0.0.1',
      port,
      aeTitle: parseAeTitle(aeTitle),
      isAllowed: async () => true,
      storage: archiveSink(archive.archive),
      query: archiveQuery(archive.archive),
      services: [commitments.service],
      log,
      metrics: createMetrics(),
      onRefusal: () => undefined,
    })
    await commitments.start()
    return { commitments, server }
  }
  const started = await start()
  const node: CommittingNode = {
    ...started,
    archive,
    db,
    nodes,
    results,
    peer: { aeTitle, host: '127.0.0.1', port },
    async restart() {
      await node.server.close()
      await node.commitments.stop()
      Object.assign(node, await start())
    },
    async stop() {
      await node.server.close()
      await node.commitments.stop()
      await db.close()
      await archive.close()
    },
  }
  return node
}

let node: CommittingNode
let kept: InstanceReference[]
const unknown: InstanceReference = { sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '2.25.404' }

beforeAll(async () => {
  dcmjs.log.setLevel('error')
  dcmjsDimse.log.setLevel('error')
  node = await startNode('LIANPIAN')
  const files = (await readdir(fixture('ct-head-tiny'))).slice(0, 4).map((file) => fixture('ct-head-tiny', file))
  expect(await run('storescu', ['-R', '127.0.0.1', String(node.peer.port), ...files])).toMatchObject({ code: 0 })
  const [study] = await node.archive.archive.studies()
  kept = (await node.archive.archive.manifest(study?.studyInstanceUid ?? '')).map(({ sopClassUid, sopInstanceUid }) => ({ sopClassUid, sopInstanceUid }))
})
afterAll(() => node.stop())

const itemsOf = (instances: readonly InstanceReference[]) => instances.map(({ sopClassUid, sopInstanceUid }) => ({ ReferencedSOPClassUID: sopClassUid, ReferencedSOPInstanceUID: sopInstanceUid }))

/** dcmjs-dimse as the modality. @returns the reports that came on its own association. */
function askByDcmjs(transactionUid: string, instances: readonly InstanceReference[], lingerMs: number): Promise<{ status: number; reports: Record<string, unknown>[] }> {
  return new Promise((resolve, reject) => {
    const { NActionRequest } = dcmjsDimse.requests
    const { NEventReportResponse } = dcmjsDimse.responses
    const client = new dcmjsDimse.Client()
    const reports: Record<string, unknown>[] = []
    let status = -1
    const request = new NActionRequest(STORAGE_COMMITMENT, COMMITMENT_INSTANCE, 1)
    request.setDataset(new dcmjsDimse.Dataset({ TransactionUID: transactionUid, ReferencedSOPSequence: itemsOf(instances) }))
    request.on('response', (response) => (status = response.getStatus()))
    client.on('nEventReportRequest', (report, answer) => {
      reports.push({ eventTypeId: report.getEventTypeId(), ...report.getDataset()?.getElements() })
      const response = NEventReportResponse.fromRequest(report)
      response.setStatus(0)
      answer(response)
    })
    client.on('closed', () => resolve({ status, reports }))
    client.on('networkError', reject)
    client.addRequest(request)
    client.send('127.0.0.1', node.peer.port, 'MODALITY', 'LIANPIAN', { associationLingerTimeout: lingerMs })
  })
}

/** dcmjs-dimse as the modality's own service, where reports arrive. */
async function startReportScp(port: number) {
  const reports: Record<string, unknown>[] = []
  class Scp extends dcmjsDimse.Scp {
    override associationRequested(association: Parameters<InstanceType<typeof dcmjsDimse.Scp>['associationRequested']>[0]) {
      for (const { id } of association.getPresentationContexts()) {
        const context = association.getPresentationContext(id)
        context.setResult(dcmjsDimse.constants.PresentationContextResult.Accept, context.getTransferSyntaxUids()[0])
      }
      this.sendAssociationAccept()
    }
    override nEventReportRequest(...[report, answer]: Parameters<InstanceType<typeof dcmjsDimse.Scp>['nEventReportRequest']>) {
      reports.push({ eventTypeId: report.getEventTypeId(), ...report.getDataset()?.getElements() })
      const response = dcmjsDimse.responses.NEventReportResponse.fromRequest(report)
      response.setStatus(0)
      answer(response)
    }
    override associationReleaseRequested() {
      this.sendAssociationReleaseResponse()
    }
  }
  const server = new dcmjsDimse.Server(Scp)
  server.listen(port)
  return { reports, close: () => server.close() }
}

const stateOf = async (transactionUid: string) => (await listCommitments(node.db, { limit: 100 })).rows.find((row) => row.transactionUid === transactionUid)

describe('committing to images that a modality has sent', () => {
  it('tells on its own association what is kept and what is not', async () => {
    // ARC-22, AGT-09
    const transaction = newTransactionUid()
    const { status, reports } = await askByDcmjs(transaction, [...kept, unknown], 1_500)
    expect(status).toBe(0)
    expect(reports).toHaveLength(1)
    expect(reports[0]).toMatchObject({ eventTypeId: 2, TransactionUID: transaction, RetrieveAETitle: 'LIANPIAN' })
    const told = (keyword: string) => [reports[0]?.[keyword]].flat().map((item) => (item as Record<string, unknown>)['ReferencedSOPInstanceUID'])
    expect(told('ReferencedSOPSequence').sort()).toEqual(kept.map(({ sopInstanceUid }) => sopInstanceUid).sort())
    expect([reports[0]?.['FailedSOPSequence']].flat()).toMatchObject([{ ReferencedSOPInstanceUID: unknown.sopInstanceUid, FailureReason: 0x0112 }])
    await until('it is written down', async () => (await stateOf(transaction))?.state === 'done')
    expect(await stateOf(transaction)).toMatchObject({ committed: 4, failed: 1, aeTitle: 'MODALITY' })
  })

  it('calls a modality that has hung up, at the address it is registered with', async () => {
    const port = await freePort()
    const scp = await startReportScp(port)
    node.nodes.set('MODALITY', { aeTitle: 'MODALITY', host: '127.0.0.1', port })
    try {
      const transaction = newTransactionUid()
      expect((await askByDcmjs(transaction, kept, 0)).status).toBe(0)
      await until('the report has come', () => scp.reports.length > 0)
      expect(scp.reports[0]).toMatchObject({ eventTypeId: 1, TransactionUID: transaction })
      expect(scp.reports[0]?.['FailedSOPSequence']).toBeUndefined()
    } finally {
      scp.close()
    }
  })

  it('goes on trying while the modality is away, over a restart of ours too', async () => {
    // Rule 3: what was acknowledged is durable.
    const port = await freePort()
    node.nodes.set('MODALITY', { aeTitle: 'MODALITY', host: '127.0.0.1', port })
    const transaction = newTransactionUid()
    await askByDcmjs(transaction, kept, 0)
    await until('it was tried', async () => ((await stateOf(transaction))?.attempts ?? 0) >= 2)
    expect(await stateOf(transaction)).toMatchObject({ state: 'retrying', problem: { code: 'dimse/unreachable' } })
    await node.restart()
    const scp = await startReportScp(port)
    try {
      await until('the report has come', () => scp.reports.length > 0)
      await until('it is written down', async () => (await stateOf(transaction))?.state === 'done')
    } finally {
      scp.close()
    }
  })

  it('waits for a person when nobody knows where the modality is, and tells it when asked again', async () => {
    node.nodes.delete('MODALITY')
    const transaction = newTransactionUid()
    await askByDcmjs(transaction, kept, 0)
    await until('it is given up', async () => (await stateOf(transaction))?.state === 'failed')
    expect((await stateOf(transaction))?.problem?.code).toBe('dimse/unknown-node')
    const port = await freePort()
    const scp = await startReportScp(port)
    node.nodes.set('MODALITY', { aeTitle: 'MODALITY', host: '127.0.0.1', port })
    try {
      await node.commitments.retry(transaction)
      await until('the report has come', () => scp.reports.length > 0)
    } finally {
      scp.close()
    }
  })

  it('does not commit itself to a file that is not whole, nor to an image of another class', async () => {
    // ARC-22
    const [damaged, misnamed, sound] = kept
    const row = await node.archive.archive.instance(damaged?.sopInstanceUid ?? '')
    await truncate(path.join(node.archive.root, row?.path ?? ''), 1_000)
    const asked = [damaged, { sopClassUid: '1.2.840.10008.5.1.4.1.1.4', sopInstanceUid: misnamed?.sopInstanceUid }, sound] as InstanceReference[]
    const transactionUid = newTransactionUid()
    const result = await askForCommitment(node.peer, { transactionUid, instances: asked }, { callingAeTitle: 'MODALITY', waitMs: 3_000 })
    // The report was acknowledged before the association ended: nobody is called again.
    await until('it is written down', async () => (await stateOf(transactionUid))?.state === 'done')
    expect((await stateOf(transactionUid))?.attempts).toBe(1)
    expect(result?.committed).toEqual([sound])
    expect(new Map(result?.failed.map(({ sopInstanceUid, reason }) => [sopInstanceUid, reason]))).toEqual(
      new Map([
        [damaged?.sopInstanceUid, 0x0110],
        [misnamed?.sopInstanceUid, 0x0119],
      ]),
    )
  })

  it('refuses a request without a transaction, without images, or of another action', async () => {
    const ask = (instances: readonly InstanceReference[], transactionUid = newTransactionUid()) => askForCommitment(node.peer, { transactionUid, instances }, { callingAeTitle: 'MODALITY' })
    await expect(ask([])).rejects.toMatchObject({ code: 'dimse/failed-at-peer', facts: { status: '0115' } })
    await expect(ask(kept, '')).rejects.toMatchObject({ facts: { status: '0115' } })
    await expect(ask([{ sopClassUid: '../etc', sopInstanceUid: '1.2' }])).rejects.toMatchObject({ facts: { status: '0115' } })
  })
})

describe('asking a node that we have sent images to', () => {
  it('takes the answer on an association that the node opens, and tells whoever asked', async () => {
    // ARC-17, AGT-09
    const pacs = await startNode('PACS')
    try {
      const files = (await readdir(fixture('ct-head-tiny'))).slice(0, 4).map((file) => fixture('ct-head-tiny', file))
      await run('storescu', ['-R', '127.0.0.1', String(pacs.peer.port), ...files.slice(1)])
      node.nodes.set('PACS', pacs.peer)
      pacs.nodes.set('LIANPIAN', node.peer)
      const transaction = await node.db.write((tx) => node.commitments.ask(tx, { nodeId: 'n1', aeTitle: 'PACS', instances: kept, subject: 'job 7' }))
      await until('the answer is here', () => node.results.some(({ subject }) => subject === 'job 7'))
      const told = node.results.find(({ subject }) => subject === 'job 7')
      expect(told?.direction).toBe('asked')
      expect(told?.result.committed).toHaveLength(3)
      expect(told?.result.failed).toMatchObject([{ reason: 0x0112 }])
      await until('it is written down', async () => (await stateOf(transaction))?.state === 'failed')
      expect(await stateOf(transaction)).toMatchObject({ committed: 3, failed: 1, problem: { code: 'dimse/not-committed' } })
    } finally {
      await pacs.stop()
    }
  })

  it('asks again while the node is away', async () => {
    const port = await freePort()
    node.nodes.set('AWAY', { aeTitle: 'AWAY', host: '127.0.0.1', port })
    const transaction = await node.db.write((tx) => node.commitments.ask(tx, { nodeId: 'n2', aeTitle: 'AWAY', instances: kept }))
    await until('it was tried', async () => ((await stateOf(transaction))?.attempts ?? 0) >= 2)
    expect(await stateOf(transaction)).toMatchObject({ state: 'retrying', direction: 'asked' })
  })
})
