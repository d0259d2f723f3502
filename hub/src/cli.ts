import { execFile } from 'node:child_process'
import process from 'node:process'
import { parseArgs, promisify } from 'node:util'
import { createAccounts, createLog, kekSourceOf, openDatabase, Vault } from 'service-kit'
import { hubRoles } from 'specs'
import { ensureAuthority } from './authority/set-up.ts'
import { authorityRequest, importAuthority, nextAuthorityRequest, type Imported } from './authority/succession.ts'
import { loadHubConfig, type HubSettings } from './config.ts'
import { prepareNats } from './nats/index.ts'

const usage = `tsx hub/src/cli.ts <command> --config <file>
  init          make root, region authority, hub certificate and the configuration of nats-server where they are missing;
                prints the path of that configuration    [--nats-version 2.9.10]
                the root's key is encrypted under LIANPIAN_PKI_PASSPHRASE, or under a passphrase that is made up and shown once
  authority-request   print a request for the region authority's own key; the root answers it: npm run pki -- renew-region
  next-authority-request   print a request for a new key of the region authority; answered by the root in the same way
  import-authority    take the root's answer, or the root's revocation list, from standard input; the running hub sees it within a minute
  add-account   --username <name> --name <shown name> --role region-admin|observer|security-admin|…; the password is read from standard input
`

const commands: Readonly<Record<string, (settings: HubSettings, values: Values) => Promise<void>>> = {
  init,
  'add-account': addAccount,
  'authority-request': requestRenewal,
  'next-authority-request': requestNext,
  'import-authority': importRenewed,
}

/** The hub never needs it: whoever holds it can make another authority that everybody believes. */
const rootOffline = (rootKey: string): string =>
  [
    `根证书私钥在 ${rootKey}。平台运行不需要它：请把该目录移到离线介质并锁入保险柜。`,
    `The root's key lies at ${rootKey}. The hub runs without it: move its folder to an offline medium and lock it away.`,
    '  换证 renewal: hub/src/cli.ts authority-request → npm run pki -- renew-region → hub/src/cli.ts import-authority',
    '  换密钥 new key: hub/src/cli.ts next-authority-request → npm run pki -- renew-region → hub/src/cli.ts import-authority',
  ].join('\n')

const shownOnce = (passphrase: string): string =>
  [
    `根证书私钥口令（仅显示这一次，请立即抄录并与私钥分开保管）：${passphrase}`,
    `Passphrase of the root's key, shown this once; write it down and keep it apart from the key: ${passphrase}`,
  ].join('\n')

/** With the vault that the running hub uses; its key file or variable must be at hand. */
async function withVault<T>(settings: HubSettings, work: (safe: Vault) => Promise<T>): Promise<T> {
  const db = await openDatabase(settings.database)
  try {
    const vault = await Vault.open({ db, kek: kekSourceOf(settings.vault) })
    try {
      return await work(vault)
    } finally {
      vault.close()
    }
  } finally {
    await db.close()
  }
}

/** PKCS#10 of the region authority's own key, on standard output: carry it to the root. */
async function requestRenewal(settings: HubSettings): Promise<void> {
  const { dir, region } = settings
  process.stdout.write(await withVault(settings, (safe) => authorityRequest({ dir, regionId: region.id, regionName: region.name, safe })))
}

/** PKCS#10 of the key that the region authority is going to have, on standard output. */
async function requestNext(settings: HubSettings): Promise<void> {
  const { dir, region } = settings
  process.stdout.write(await withVault(settings, (safe) => nextAuthorityRequest({ dir, regionId: region.id, regionName: region.name, safe })))
}

const taken: Readonly<Record<Imported, string>> = {
  certificate: '区域证书机构证书已更新，平台一分钟内生效 imported, the running hub takes it up within a minute',
  'next-authority': '区域证书机构已换用新密钥，平台一分钟内生效，各节点将自动换证 the region authority has its new key; the running hub takes it up within a minute, nodes renew themselves',
  'root-crl': '根吊销列表已更新 root list imported',
}

/** The root's answer, or the root's revocation list, from standard input. */
async function importRenewed(settings: HubSettings): Promise<void> {
  const { dir, region } = settings
  const pem = `${await standardInput()}\n`
  const imported = await withVault(settings, (safe) => importAuthority({ dir, regionId: region.id, regionName: region.name, safe }, pem))
  process.stdout.write(`${taken[imported]}\n`)
}

/** Everything else is done in the console or through its API. */
async function init(settings: HubSettings, values: Values): Promise<void> {
  const { dir, region, nats } = settings
  const { rootKey, madePassphrase } = await ensureAuthority({ dir, regionId: region.id, regionName: region.name, rootPassphrase: process.env['LIANPIAN_PKI_PASSPHRASE'] || undefined })
  if (rootKey !== undefined) process.stderr.write(`${rootOffline(rootKey)}\n`)
  if (madePassphrase !== undefined) process.stderr.write(`${shownOnce(madePassphrase)}\n`)
  const serverVersion = values['nats-version'] ?? (await installedNatsVersion())
  const { configFile } = await prepareNats({
    dir: nats.adminDir,
    host: nats.listenHost,
    port: Number(new URL(nats.url).port || '4222'),
    storeDir: nats.storeDir,
    tls: nats.tls,
    names: nats.names,
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
