import process from 'node:process'
import { createLog, createMetrics, openDatabase, type DatabaseConfig } from 'service-kit'
import { parseAeTitle } from 'specs'
import { testArchive } from '../../src/archive/archive.builder.ts'
import { Digests } from '../../src/archive/digest/digests.ts'
import { archiveQuery } from '../../src/dimse/archive-query.ts'
import { archiveSink } from '../../src/dimse/archive-sink.ts'
import { startDimseServer } from '../../src/dimse/server.ts'

// A process of its own for tests that kill it: an archive, finished from what the last one left, behind a DICOM port. Prints one line of JSON when it listens.
const [folder = '', configText = ''] = process.argv.slice(2)
const log = createLog({ name: 'receiving', level: 'silent' })
const db = configText === '' ? undefined : await openDatabase(JSON.parse(configText) as DatabaseConfig)
const digests = Digests.threaded(log)
const { archive } = await testArchive({ digests, ...(db && { db }) }, folder)
const check = await archive.verify()
const server = await startDimseServer({
  host: '127.0.0.1', port: 0, aeTitle: parseAeTitle('LIANPIAN'),
  isAllowed: async () => true,
  storage: archiveSink(archive),
  query: archiveQuery(archive),
  log, metrics: createMetrics(),
  onRefusal: () => undefined,
}) // prettier-ignore
process.stdout.write(`${JSON.stringify({ port: server.port, check })}\n`)
