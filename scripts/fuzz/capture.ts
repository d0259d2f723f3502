import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import dcmjsDimse from 'dcmjs-dimse'
import { unpackFixtures } from '../fixtures.mjs'
import { FuzzedNode } from './fuzzed-node.ts'

/**
 * `npx tsx scripts/fuzz/capture.ts`: records what DCMTK and dcmjs-dimse say to a node, one association per file, into fixtures/dimse. Only
 * to be run again when a service is new.
 */
const { Client, Dataset, requests, log } = dcmjsDimse
log.setLevel('error')
const into = fileURLToPath(new URL('../../fixtures/dimse/', import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'lianpian-capture-'))
const node = await FuzzedNode.start(folder)
const execute = promisify(execFile)
const slice = join(unpackFixtures('ct-head-tiny'), 'ct-head-tiny', 'CTHead1.dcm')

async function recorded(name: string, speak: (port: string) => Promise<unknown>): Promise<void> {
  const said: Buffer[] = []
  const proxy = createServer((client) => {
    const server = connect(node.port, '127.0.0.1')
    client.on('data', (chunk: Buffer) => said.push(chunk))
    client.pipe(server).pipe(client)
    client.on('error', () => server.destroy())
    server.on('error', () => client.destroy())
  })
  await new Promise<void>((resolve) => void proxy.listen(0, '127.0.0.1', resolve))
  await speak(String((proxy.address() as AddressInfo).port)).catch((error: unknown) => process.stderr.write(`${name}: ${String(error)}\n`))
  await new Promise((resolve) => proxy.close(resolve))
  await writeFile(join(into, `${name}.bin`), Buffer.concat(said))
  process.stdout.write(`${name}: ${Buffer.concat(said).length} bytes\n`)
}
const tool = (program: string, options: readonly string[] = [], files: readonly string[] = []) => (port: string) =>
  execute(program, ['-aet', 'FUZZ', '-aec', 'FUZZED', ...options, '127.0.0.1', port, ...files], { timeout: 20_000 })
const dimse = (request: unknown) => (port: string) =>
  new Promise<void>((resolve, reject) => {
    const client = new Client()
    client.addRequest(request as never)
    client.on('networkError', reject)
    client.on('closed', () => resolve())
    client.send('127.0.0.1', Number(port), 'FUZZ', 'FUZZED')
  })

await recorded('echo', tool('echoscu'))
await recorded('store', tool('storescu', ['-R'], [slice]))
await recorded('store-max-pdu', tool('storescu', ['-R', '-pdu', '4096', '--max-send-pdu', '4096'], [slice]))
await recorded('find-study', tool('findscu', ['-S', '-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID', '-k', 'PatientID', '-k', 'PatientName=A*', '-k', 'StudyDate=20000101-']))
await recorded('find-worklist', tool('findscu', ['-W', '-k', 'PatientName=*', '-k', 'ScheduledProcedureStepSequence[0].Modality=CT']))
await recorded('move', tool('movescu', ['-S', '-aem', 'FUZZ', '-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID=1.2.3']))
await recorded('get', tool('getscu', ['-S', '-k', 'QueryRetrieveLevel=STUDY', '-k', 'StudyInstanceUID=1.2.3']))
const step = new requests.NCreateRequest('1.2.840.10008.3.1.2.3.3', '2.25.12345')
step.setDataset(
  new Dataset({
    Modality: 'CT', PatientID: 'P1', PerformedProcedureStepID: 'P', PerformedStationAETitle: 'FUZZ', PerformedProcedureStepStartDate: '20261122', PerformedProcedureStepStartTime: '101112',
    PerformedProcedureStepStatus: 'IN PROGRESS', ScheduledStepAttributesSequence: [{ StudyInstanceUID: '1.2.3', AccessionNumber: 'A1', ScheduledProcedureStepID: 'S1' }],
  }),
) // prettier-ignore
await recorded('performed-step', dimse(step))
const commitment = new requests.NActionRequest('1.2.840.10008.1.20.1', '1.2.840.10008.1.20.1.1', 1)
commitment.setDataset(new Dataset({ TransactionUID: '2.25.77', ReferencedSOPSequence: [{ ReferencedSOPClassUID: '1.2.840.10008.5.1.4.1.1.2', ReferencedSOPInstanceUID: '2.25.78' }] }))
await recorded('commitment', dimse(commitment))
await node.stop()
await rm(folder, { recursive: true })
