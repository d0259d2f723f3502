import { execFile } from 'node:child_process'
import process from 'node:process'
import { parseArgs, promisify } from 'node:util'
import { createAccounts, createLog, openDatabase } from 'service-kit'
import { hubRoles } from 'specs'
import { initAuthority } from './authority/authority.ts'
import { loadHubConfig, type HubSettings } from './config.ts'
import { prepareNats } from './nats/index.ts'

const usage = `tsx hub/src/cli.ts <command> --config <file>
  init          make root, region authority, hub certificate and the configuration of nats-server where they are missing;
                prints the path of that configuration    [--nats-version 2.9.10]
  add-account   --username <name> --name <shown name> --role region-admin|observer|security-admin|…; the password is read from standard input
`

const commands: Readonly<Record<string, (settings: HubSettings, values: Values) => Promise<void>>> = { init, 'add-account': addAccount }

/** Everything else is done in the console or through its API. */
async function init(settings: HubSettings, values: Values): Promise<void> {
  const { dir, region, nats } = settings
  await initAuthority({ dir, regionId: region.id, regionName: region.name })
  const serverVersion = values['nats-version'] ?? (await installedNatsVersion())
  const { configFile } = await prepareNats({
    dir: nats.adminDir,
    host: nats.listenHost,
    port: Number(new URL(nats.url).port || '4222'),
    storeDir: nats.storeDir,
    tls: nats.tls,
    names: [nats.url, nats.publicUrl].map((url) => new URL(url).hostname.replace(/^\[|\]$/g, '')),
    ...(serverVersion === undefined ? {} : { serverVersion }),
  })
  process.stdout.write(`${configFile}\n`)
}

async function addAccount(settings: HubSettings, { username = '', name = '', role = '' }: Values): Promise<void> {
  const db = await openDatabase(settings.database)
  try {
    const accounts = await createAccounts({ db, party: 'hub', roles: hubRoles, log: createLog({ name: 'hub', level: 'warn' }), identity: settings.identity })
    await accounts.create({ username, password: await standardInput(), name, roles: [role] })
  } finally {
    await db.close()
  }
}

/** A password in the arguments could be read by everybody on the machine. */
async function standardInput(): Promise<string> {
  let text = ''
  for await (const chunk of process.stdin.setEncoding('utf8')) text += chunk
  return text.replace(/\r?\n$/, '')
}

/** Decides which settings nats-server is given; without it only those that every version knows. */
async function installedNatsVersion(): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)('nats-server', ['--version'])
    return /v?(\d+\.\d+\.\d+)/.exec(stdout)?.[1]
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

const options = {
  config: { type: 'string' },
  'nats-version': { type: 'string' },
  username: { type: 'string' },
  name: { type: 'string' },
  role: { type: 'string' },
} as const
type Values = { readonly [K in keyof typeof options]?: string | undefined }

const { positionals, values } = parseArgs({ options, allowPositionals: true })
const command = commands[positionals[0] ?? '']
if (!command || positionals.length !== 1) {
  process.stderr.write(usage)
  process.exit(2)
}
try {
  await command(loadHubConfig(values.config), values)
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
}
