import process from 'node:process'
import { parseArgs } from 'node:util'
import { ConfigError, createLog, createShutdown } from 'service-kit'
import { isProblem } from 'specs'
import { loadNodeConfig } from './config.ts'
import { startNode } from './node.ts'
import { joinFromCommandLine } from './region/join-command.ts'

/**
 * `tsx node-agent/src/main.ts --config <file>` runs a node; `… join <hub url> <code>` joins a region and ends.
 * Ends with 1 and one clear sentence when it cannot.
 */
const { values, positionals } = parseArgs({ options: { config: { type: 'string' } }, allowPositionals: true })
try {
  const settings = loadNodeConfig(values.config)
  const log = createLog({ name: settings.hospital.id, level: settings.logLevel })
  const [command, hubUrl, code] = positionals
  if (command === 'join') {
    if (hubUrl === undefined || code === undefined) throw new Error('join <hub url> <join code>')
    process.stdout.write(`${await joinFromCommandLine(settings, log, hubUrl, code)}\n`)
  } else if (command !== undefined) {
    throw new Error(`unknown command: ${command}`)
  } else {
    const shutdown = createShutdown({ log })
    const node = await startNode(settings, log)
    shutdown.onStop('node', node.stop)
    log.info(
      { httpPort: node.httpPort, dimsePort: node.dimsePort, desk: `http://${settings.http.host}:${node.httpPort}/desk/` },
      'node started',
    )
  }
} catch (error) {
  const told = isProblem(error)
    ? `${error.answer.zh} / ${error.answer.en} (${error.code})`
    : error instanceof Error
      ? error.message
      : String(error)
  process.stderr.write(`${told}\n`)
  if (error instanceof Error && error.cause !== undefined && !(error instanceof ConfigError))
    process.stderr.write(`${String(error.cause)}\n`)
  process.exit(1)
}
