// A process that gives QIDO-RS over an archive that was filled by large-index.ts: doors, accounts and the archive as in a node; whose exams somebody may see is
// measured elsewhere (policy.bench.ts) and not asked here. Prints its port and a token.
import { createAccounts, createHttpFace, createLog, createMetrics, openDatabase } from 'service-kit'
import { HospitalId, nodeRoles, RegionId } from 'specs'
import { setTimeout as sleep } from 'node:timers/promises'
import { openArchive } from '../../node-agent/src/archive/archive.ts'
import { createCodecPool } from '../../node-agent/src/dicom/render/codec-pool.ts'
import { createRenderer } from '../../node-agent/src/dicom/render/renderer.ts'
import { archiveStudyAccess } from '../../node-agent/src/dicomweb/local-study.ts'
import { mountDicomWeb } from '../../node-agent/src/dicomweb/routes.ts'
import type { StudySource } from '../../node-agent/src/dicomweb/study-source.ts'
import { transcode } from '../../node-agent/src/dicom/transcode/transcode.ts'

const [config = '', folder = ''] = process.argv.slice(2)
const log = createLog({ name: 'bench', level: 'error' })
const metrics = createMetrics()
const db = await openDatabase(JSON.parse(config) as Parameters<typeof openDatabase>[0])
const began = performance.now()
const archive = await openArchive({ name: 'in-hospital', db, root: `${folder}/files`, minFreeBytes: 0, log, metrics, regionId: () => RegionId.parse('yunling'), hospitalId: HospitalId.parse('hospital-a') })
while (archive.upkeep().length > 0) await sleep(100)
const upkeepSeconds = (performance.now() - began) / 1_000
const accounts = await createAccounts({ db: await openDatabase({ dialect: 'sqlite', file: `${folder}/accounts.sqlite` }), party: 'hospital-a', roles: nodeRoles, log })
await accounts.ensure({ username: 'doctor', password: 'lianpian-bench-1', name: 'doctor', title: '', roles: ['doctor'] })
const face = createHttpFace({ name: 'bench', version: '0', log, metrics, accounts, limits: undefined })
const codecs = createCodecPool({ log, threads: 1 })
const source: StudySource = {
  qido: () => [archive],
  permitted: (_user, _archive, studies) => Promise.resolve(new Set(studies)),
  allPermitted: () => Promise.resolve(undefined),
  forStudy: (_user, study) => archiveStudyAccess(archive, study),
  storing: () => ({ archive, admit: async () => undefined }),
}
mountDicomWeb(face, { source, renderer: createRenderer({ log, codecs }), transcode: (file, syntax) => transcode(file, syntax, { codecs }) })
const { port } = await face.listen({ host: '127.0.0.1', port: 0, setting: 'http.port' })
const session = await fetch(`http://127.0.0.1:${port}/api/sessions`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ username: 'doctor', password: 'lianpian-bench-1' }) })
const { token } = (await session.json()) as { token: string }
process.stdout.write(`${JSON.stringify({ port, token, upkeepSeconds })}\n`)
