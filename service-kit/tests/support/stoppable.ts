import process from 'node:process'
import { createLog, createShutdown } from '../../src/index.ts'

// A process that would live for ever.
const shutdown = createShutdown({ log: createLog({ name: 'stoppable' }) })
const heart = setInterval(() => {}, 1_000)
shutdown.onStop('heart', () => {
  clearInterval(heart)
  process.stdout.write('hook ran\n')
})
process.stdout.write('ready\n')
