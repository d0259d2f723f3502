import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { prepareNats } from '../../../hub/src/nats/index.ts'
import { ensureNatsServer, natsServerVersion, startNatsServer } from '../../../scripts/nats-server.mjs'

/** A real nats-server in operator mode for one test file, on a free loopback port, in a folder of its own. */
export interface ThrowAwayNats {
  readonly url: string
  readonly port: number
  /** Folder for `NatsAdministration.open({ dir, natsUrl: url, … })`. */
  readonly dir: string
  readonly hubCredentials: string
  /** As a power cut would: SIGKILL. */
  kill(): Promise<void>
  /** Starts again on the same port; `emptyStore` loses all streams first. */
  start(options?: { emptyStore?: boolean }): Promise<void>
  /** Ends the server and removes the folder. */
  stop(): Promise<void>
}

export async function startThrowAwayNats(): Promise<ThrowAwayNats> {
  const root = await mkdtemp(join(tmpdir(), 'lianpian-nats-'))
  const [dir, storeDir] = [join(root, 'hub'), join(root, 'store')]
  const port = await freePort()
  const path = await ensureNatsServer()
  const { configFile, hubCredentials = '' } = await prepareNats({
    dir,
    host: '127.0.0.1',
    port,
    storeDir,
    serverVersion: await natsServerVersion(path),
  })
  let child: ChildProcess | undefined = await startNatsServer({ path, configFile })

  async function kill() {
    if (child === undefined) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    child = undefined
    await gone
  }
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    dir,
    hubCredentials,
    kill,
    async start({ emptyStore = false } = {}) {
      if (emptyStore) await rm(storeDir, { recursive: true, force: true })
      child = await startNatsServer({ path, configFile })
    },
    async stop() {
      await kill()
      await rm(root, { recursive: true, force: true })
    },
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
