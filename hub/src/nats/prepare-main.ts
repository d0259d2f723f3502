import process from 'node:process'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { prepareNats } from './prepare.ts'

/**
 * `tsx hub/src/nats/prepare-main.ts --dir <hub's nats folder> --store <server's folder> --host 127.0.0.1 --port 4400
 * [--server-version 2.9.10]` writes keys and configuration and prints the path of the configuration. For whoever starts
 * nats-server before the hub (npm start, docker compose).
 */
const { values } = parseArgs({
  options: {
    dir: { type: 'string' },
    store: { type: 'string' },
    host: { type: 'string', default: '127.0.0.1' },
    port: { type: 'string', default: '4400' },
    'server-version': { type: 'string' },
  },
})
const options = z
  .object({
    dir: z.string(),
    store: z.string(),
    host: z.string(),
    port: z.coerce.number().int().min(1).max(65_535),
    'server-version': z.string().optional(),
  })
  .parse(values)

const { configFile } = await prepareNats({
  dir: options.dir,
  host: options.host,
  port: options.port,
  storeDir: options.store,
  ...(options['server-version'] === undefined ? {} : { serverVersion: options['server-version'] }),
})
process.stdout.write(`${configFile}\n`)
