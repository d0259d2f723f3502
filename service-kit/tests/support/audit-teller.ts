import process from 'node:process'
import { AuditConfig, createLog, openDatabase, Trail } from '../../src/index.ts'

// Tells a trail without end, as a busy node does, and says which events were promised: "record <id>" once durable, "fact <id>" once committed.
const [folder = '', database = '', name = ''] = process.argv.slice(2)
const caller = await openDatabase({ dialect: 'sqlite', file: `${folder}/${name}.sqlite` })
await caller.run('CREATE TABLE IF NOT EXISTS fact (id TEXT PRIMARY KEY)')
const trail = await Trail.open({
  database: database.startsWith('postgres') ? { dialect: 'postgres', url: database, schema: 'audit' } : { dialect: 'sqlite', file: database },
  settings: AuditConfig.parse({ checkpointRecords: 50 }),
  party: 'yunxi',
  keyFolder: `${folder}/keys`,
  callers: [caller],
  log: createLog({ name: 'teller', level: 'silent' }),
})
process.stdout.write('ready\n')
const run = process.pid
async function tell(kind: 'record' | 'fact', number: number): Promise<void> {
  const id = `${name}-${run}-${kind}-${number}`
  const event = { action: 'exam.change', outcome: 'success', object: { type: 'exam', id } } as const
  if (kind === 'record') await trail.record(event)
  else
    await caller.write(async (tx) => {
      await tx.run('INSERT INTO fact (id) VALUES ($1)', [id])
      await trail.within(tx, event)
    })
  process.stdout.write(`${kind} ${id}\n`)
}
const rounds = Number(process.argv[5] ?? Infinity)
for (let number = 0; number < rounds; number++) await Promise.all([tell('record', number * 2), tell('record', number * 2 + 1), tell('fact', number)])
await trail.settle()
await trail.close()
await caller.close()
