// Runs inside a network namespace: `listen.mjs PORT …` takes connections as a database or an HL7 receiver would.
import { once } from 'node:events'
import { createServer } from 'node:net'
import process from 'node:process'

for (const port of process.argv.slice(2)) {
  const server = createServer((socket) => socket.on('error', () => socket.destroy()).resume())
  await once(server.listen(Number(port)), 'listening')
}
console.log('ready')
