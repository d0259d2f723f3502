import process from 'node:process'
import { parseArgs } from 'node:util'
import { ConfigError, createLog, createShutdown } from 'service-kit'
import { loadHubConfig } from './config.ts'
import { startHub } from './hub.ts'

/** `tsx hub/src/main.ts --config <file>`. Ends with 1 and one clear sentence when it cannot start. */
const { values } = parseArgs({ options: { config: { type: 'string' } } })
try {
  const settings = loadHubConfig(values.config)
  const log = createLog({ name: 'hub', level: settings.logLevel })
  const shutdown = createShutdown({ log })
  const hub = await startHub(settings, log)
  shutdown.onStop('hub', hub.stop)
  log.info({ regionId: settings.region.id, port: hub.port, console: `http://${settings.http.host}:${hub.port}/console/` }, 'hub started')
} catch (error) {
  const told = error instanceof ConfigError || !(error instanceof Error) ? String(error) : error.message
  process.stderr.write(`${told}\n`)
  if (error instanceof Error && error.cause !== undefined) process.stderr.write(`${String(error.cause)}\n`)
  process.exit(1)
}
