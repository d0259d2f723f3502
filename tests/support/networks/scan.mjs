// Runs inside a network namespace: `scan.mjs HOST FIRST-LAST …` tries to connect to every port. It prints which are open,
// how many answer that nobody listens, and how many give no answer at all.
import { connect } from 'node:net'
import process from 'node:process'

const [host, ...ranges] = process.argv.slice(2)
const ports = ranges.flatMap((range) => {
  const [first, last = first] = range.split('-').map(Number)
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
})
/** Longer than the second after which the kernel asks again, so that one lost packet hides no port. */
const patienceMs = 1_500
/** Enough to wait for all usual ports together; more at once would make this process too slow to hear the answers. */
const atOnce = 1_200

const found = { open: [], closed: 0, silent: 0 }
async function work() {
  for (let port = ports.pop(); port !== undefined; port = ports.pop()) {
    const answer = await attempt(port)
    if (answer === 'open') found.open.push(port)
    else found[answer] += 1
  }
}
function attempt(port) {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    // On a busy machine the answer may be here already and only unread: what has come is read before the immediate runs.
    const timer = setTimeout(() => setImmediate(() => done('silent')), patienceMs)
    const done = (answer) => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => done('open'))
    socket.once('error', ({ code }) => {
      if (code === 'ECONNREFUSED') return done('closed')
      if (['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EACCES', 'EPERM', 'ECONNRESET'].includes(code)) return done('silent')
      throw new Error(`the scan itself fails: ${code}`) // e.g. EMFILE: not a finding about the port
    })
  })
}
await Promise.all(Array.from({ length: Math.min(atOnce, ports.length) }, work))
found.open.sort((a, b) => a - b)
console.log(JSON.stringify(found))
