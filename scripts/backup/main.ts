// npm run backup -- create | watch | list | verify | prune | restore: copies of what a node or the hub keeps, sealed under a passphrase.
import { readFile } from 'node:fs/promises'
import { isAbsolute, join, relative, resolve } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { BackupRepository, createBackup, restoreBackup, TAIL_MEMORY, tellTrail, verifyBackup, type BackupManifest, type BackupSource, type DatabaseConfig } from 'service-kit'
import { HUB, isProblem } from 'specs'
import { loadHubConfig } from '../../hub/src/config.ts'
import { databaseOf, loadNodeConfig } from '../../node-agent/src/config.ts'

const HELP = `npm run backup -- <命令 command> --node <node.jsonc> | --hub <hub.jsonc> --to <备份目录 folder of the backups>
  create            备份正在运行的服务 / back up, the service may run
  watch --every <n> 每 n 分钟备份一次 / back up every n minutes until stopped
  list              列出备份 / what there is
  verify [id]       校验备份（默认最新）/ read a backup and compare every digest
  prune --keep <n>  只保留最新 n 个 / leave the newest n
  restore [id]      恢复到配置中的数据目录（必须为空）/ onto the empty data folder of the configuration
选项 options:
  --passphrase-file <file>   或环境变量 LIANPIAN_BACKUP_PASSPHRASE / or the environment
  --with-vault-key           连同密钥文件一起备份；否则须另行保管 keys/vault.kek / keep the key of the vault in the backup, too
  --keep <n>                 create 与 watch 之后只保留 n 个 / prune afterwards
  --json                     机器可读 / for machines`

/** What a service keeps, as its configuration says. */
interface Service {
  readonly source: BackupSource
  /** The database whose transactions the trail listens to. */
  readonly main: DatabaseConfig
  readonly keyFile: string | undefined
}

function serviceOf({ node, hub }: { node?: string | undefined; hub?: string | undefined }): Service {
  if ((node === undefined) === (hub === undefined)) throw new Error('请用 --node 或 --hub 指定配置文件 / name one configuration: --node or --hub')
  if (node !== undefined) {
    const settings = loadNodeConfig(node)
    const databases = [...(['node', 'archive-in-hospital', 'archive-regional'] as const).map((part) => databaseOf(settings, part)), settings.audit.database]
    return service(settings.hospital.id, settings.dataFolder, databases, settings.vault.keyFile, ['incoming'])
  }
  const settings = loadHubConfig(hub)
  // Without its seeds a restored hub could admit nobody to nats-server.
  if (below(settings.dir, settings.nats.adminDir).startsWith('..')) throw new Error(`nats.adminDir 须在数据目录内才能备份 / must lie below the data folder to be backed up: ${settings.nats.adminDir}`)
  return service(HUB, settings.dir, [settings.database, settings.audit.database], settings.vault.keyFile, [below(settings.dir, settings.nats.storeDir)])
}

function service(name: string, folder: string, databases: readonly DatabaseConfig[], keyFile: string | undefined, skip: readonly string[]): Service {
  return { source: { service: name, folder, databases, skip: [...skip, join('keys', TAIL_MEMORY), ...(keyFile === undefined ? [] : [below(folder, keyFile)])] }, main: databases[0]!, keyFile }
}

const below = (folder: string, path: string) => (isAbsolute(path) ? relative(folder, path) : path)

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      node: { type: 'string' },
      hub: { type: 'string' },
      to: { type: 'string' },
      every: { type: 'string', default: '15' },
      keep: { type: 'string' },
      'passphrase-file': { type: 'string' },
      'with-vault-key': { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const [command, id] = positionals
  if (values.help || command === undefined || values.to === undefined) {
    console.log(HELP)
    return values.help ? 0 : 2
  }
  const tell = (text: string, facts: object) => console.log(values.json ? JSON.stringify(facts) : text)
  const passphraseFile = values['passphrase-file']
  const passphrase = passphraseFile === undefined ? process.env['LIANPIAN_BACKUP_PASSPHRASE'] : (await readFile(passphraseFile, 'utf8')).trim()
  const repository = await BackupRepository.open(resolve(values.to), passphrase ?? '')
  const chosen = async (): Promise<BackupManifest> => {
    if (id !== undefined) return repository.manifest(id)
    const mine = values.node === undefined && values.hub === undefined ? undefined : serviceOf(values).source.service
    const newest = (await repository.list()).find(({ service: of }) => mine === undefined || of === mine)
    if (!newest) throw new Error('没有备份 / there is no backup')
    return newest
  }
  const create = async () => {
    const { source, main: database, keyFile } = serviceOf(values)
    const vaultKey = values['with-vault-key'] ? keyFile : undefined
    const manifest = await createBackup(repository, { ...source, ...(vaultKey !== undefined && { vaultKey }) })
    await tellTrail(database, source.service, { action: 'backup.make', outcome: 'success', actor: console_, object: { type: 'backup', id: manifest.id }, facts: { files: manifest.files.length, newBytes: manifest.newBytes } })
    if (values.keep !== undefined) await repository.prune(atLeastOne(values.keep))
    tell(lineOf(manifest), manifestFacts(manifest))
  }
  switch (command) {
    case 'create':
      await create()
      return 0
    case 'watch': {
      const everyMs = atLeastOne(values.every) * 60_000
      for (;;) {
        const began = Date.now()
        // The next one may succeed: a full disk is emptied, a database comes back.
        await create().catch((error: unknown) => console.error(messageOf(error)))
        await sleep(Math.max(1_000, everyMs - (Date.now() - began)))
      }
    }
    case 'list':
      for (const manifest of await repository.list()) tell(lineOf(manifest), manifestFacts(manifest))
      return 0
    case 'verify': {
      const manifest = await chosen()
      const { files, sizeBytes } = await verifyBackup(repository, manifest)
      tell(`${manifest.id}: 完好 sound, ${files} files, ${megabytes(sizeBytes)}`, { id: manifest.id, files, sizeBytes })
      return 0
    }
    case 'prune': {
      const { backups, blobs } = await repository.prune(atLeastOne(values.keep ?? ''))
      tell(`已删除 removed: ${backups} backups, ${blobs} pieces`, { backups, blobs })
      return 0
    }
    case 'restore': {
      const { source, main: database } = serviceOf(values)
      const manifest = await chosen()
      if (manifest.service !== source.service) throw new Error(`该备份属于 ${manifest.service}，不是 ${source.service} / that backup is of another service`)
      const done = await restoreBackup(repository, manifest, { folder: source.folder, databases: source.databases })
      await tellTrail(database, source.service, { action: 'backup.restore', outcome: 'success', actor: console_, object: { type: 'backup', id: manifest.id }, facts: { files: done.files, sizeBytes: done.sizeBytes, asOf: manifest.at } })
      tell(`已恢复 restored ${manifest.id}（${new Date(manifest.at).toISOString()}）: ${done.files} files, ${megabytes(done.sizeBytes)}, ${(done.tookMs / 1000).toFixed(1)} s`, { id: manifest.id, at: manifest.at, ...done })
      if (!manifest.hasVaultKey) console.error(`请先把密钥放回 / put the vault key back before the start: ${join(source.folder, 'keys', 'vault.kek')}`)
      return 0
    }
    default:
      console.log(HELP)
      return 2
  }
}

/** Whoever may run this on the machine. */
const console_ = { kind: 'system', id: 'console', name: process.env['USER'] ?? 'console' } as const
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`
const manifestFacts = ({ id, service: of, at, tookMs, files, newBytes, hasVaultKey }: BackupManifest) => ({ id, service: of, at, tookMs, files: files.length, sizeBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0), newBytes, hasVaultKey })
const lineOf = (manifest: BackupManifest) => {
  const { id, tookMs, files, sizeBytes, newBytes } = manifestFacts(manifest)
  return `${id}  ${files} files  ${megabytes(sizeBytes)}  +${megabytes(newBytes)}  ${(tookMs / 1000).toFixed(1)} s`
}
function atLeastOne(text: string): number {
  const number = Number(text)
  if (!Number.isInteger(number) || number < 1) throw new Error(`需要正整数 / a whole number from 1: ${text}`)
  return number
}
const messageOf = (error: unknown) => (isProblem(error) ? `${error.answer.zh} / ${error.answer.en} ${JSON.stringify(error.facts)}` : error instanceof Error ? error.message : String(error))

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(messageOf(error))
    process.exitCode = 1
  },
)
