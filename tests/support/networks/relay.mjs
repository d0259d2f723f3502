// Runs inside a network namespace: `relay.mjs SOCKET HOST PORT` carries connections of a Unix socket, which every
// namespace reaches, to an address that only this one does. It says "ready" when it listens.
import { connect, createServer } from 'node:net'
import process from 'node:process'

const [path, host, port] = process.argv.slice(2)
const server = createServer({ allowHalfOpen: true }, (near) => {
  const far = connect({ host, port: Number(port), allowHalfOpen: true })
  for (const [one, other] of [[near, far], [far, near]]) {
    one.pipe(other)
    one.on('error', () => other.destroy())
    one.on('close', () => other.destroy())
  }
})
server.listen(path, () => console.log('ready'))
