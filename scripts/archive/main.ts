// npm run archive -- status | encrypt | decrypt | rewrap | verify: how the image files of a node lie on its disk.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createLog, kekSourceOf, openDatabase, tellTrail, Vault } from 'service-kit'
import { isProblem } from 'specs'
import type { ArchiveName } from '../../node-agent/src/archive/archive.ts'
import { checkArchive } from '../../node-agent/src/archive/check.ts'
import { convertArchive, type ConversionParts } from '../../node-agent/src/archive/encryption/conversion.ts'
import { FileEncryption, type EncryptionMode } from '../../node-agent/src/archive/encryption/file-encryption.ts'
import { ENCRYPTED } from '../../node-agent/src/archive/encryption/file-form.ts'
import { requireRightKey } from '../../node-agent/src/archive/encryption/key-check.ts'
import { rewrapArchive } from '../../node-agent/src/archive/encryption/rewrap.ts'
import { makeFolders } from '../../node-agent/src/archive/folders.ts'
import { migrations } from '../../node-agent/src/archive/tables.ts'
import { storageMigrations } from '../../node-agent/src/archive/storage/tables.ts'
import { databaseOf, loadNodeConfig, type NodeSettings } from '../../node-agent/src/config.ts'

const HELP = `npm run archive -- <命令 command> --config <node.jsonc>
  status    明文与加密文件各有多少 / how many files lie in clear, how many encrypted
  encrypt   把已有文件逐个加密（SM4）/ encrypt the files that are there
  decrypt   把已有文件还原为明文 / the reverse
  rewrap    用保险库的当前密钥重新封装文件密钥，不改写影像 / wrap file keys under the vault's key of today, pixel data stay
  verify    逐个核对文件与 SM3 / compare every file with its SM3
选项 options:
  --archive in-hospital|regional   只处理一个归档库 / one archive only
  --json                           机器可读 / for machines
节点运行或停止时均可执行；中断后再次执行即继续。新收到的文件由配置 archive.encryption 决定。
The node may run or not; stopped half way, run it again. New files follow the setting archive.encryption.
转换期间请勿备份，转换前后各备份一次 / make a backup before and after a conversion, none during it.`

type Command = 'status' | 'encrypt' | 'decrypt' | 'rewrap' | 'verify'
const commands: readonly string[] = ['status', 'encrypt', 'decrypt', 'rewrap', 'verify']
/** Whoever may run this on the machine. */
const console_ = { kind: 'system', id: 'console', name: process.env['USER'] ?? 'console' } as const

interface Outcome {
  readonly facts: Record<string, unknown>
  readonly text: string
  readonly sound: boolean
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { config: { type: 'string' }, archive: { type: 'string' }, json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } },
  })
  const [command] = positionals
  if (values.help || command === undefined || !commands.includes(command) || values.config === undefined) {
    console.log(HELP)
    return values.help ? 0 : 2
  }
  const names = (['in-hospital', 'regional'] as const).filter((name) => values.archive === undefined || values.archive === name)
  if (names.length === 0) throw new Error('--archive in-hospital | regional')
  const settings = loadNodeConfig(values.config)
  const node = databaseOf(settings, 'node')
  // A vault that is made by mistake would be another key than the node's.
  if (node.dialect === 'sqlite' && !existsSync(node.file)) throw new Error(`该配置的节点尚未启动过 / no node has ever started with this configuration: ${node.file}`)

  const log = createLog({ name: settings.hospital.id, level: 'warn' })
  const db = await openDatabase(node)
  const vault = await Vault.open({ db, kek: kekSourceOf(settings.vault) })
  const encryption = new FileEncryption({ vault, log })
  const stopped = new AbortController()
  process.once('SIGINT', () => stopped.abort())
  process.once('SIGTERM', () => stopped.abort())
  let sound = true
  try {
    for (const name of names) {
      const outcome = await onArchive(settings, name, encryption, (parts) => act(command as Command, { ...parts, signal: stopped.signal }, (text) => values.json || process.stderr.write(text)))
      sound &&= outcome.sound
      console.log(values.json ? JSON.stringify({ archive: name, ...outcome.facts }) : `${name}: ${outcome.text}`)
      if (command !== 'status' && command !== 'verify')
        await tellTrail(node, settings.hospital.id, { action: 'archive.convert', outcome: outcome.sound ? 'success' : 'failed', actor: console_, object: { type: 'component', id: `archive/${name}` }, facts: { command, ...outcome.facts } })
    }
  } finally {
    await encryption.close()
    vault.close()
    await db.close()
  }
  return sound ? 0 : 1
}

async function onArchive(settings: NodeSettings, name: ArchiveName, encryption: FileEncryption, work: (parts: ConversionParts) => Promise<Outcome>): Promise<Outcome> {
  const db = await openDatabase(databaseOf(settings, `archive-${name}`))
  try {
    await db.migrate('archive', migrations)
    await db.migrate('archive-storage', storageMigrations)
    return await work({ db, encryption, folders: await makeFolders(join(settings.dataFolder, `archive-${name}`)) })
  } finally {
    await db.close()
  }
}

async function act(command: Command, parts: ConversionParts, tell: (text: string) => void): Promise<Outcome> {
  switch (command) {
    case 'status':
      return status(parts)
    case 'encrypt':
      return convert(parts, 'sm4', tell)
    case 'decrypt':
      return convert(parts, 'none', tell)
    case 'rewrap': {
      const { rewrapped, current, damaged } = await rewrapArchive(parts)
      return { facts: { rewrapped, current, damaged: damaged.length }, text: `重新封装 rewrapped ${rewrapped}, 已是当前密钥 current ${current}${listed(damaged)}`, sound: damaged.length === 0 }
    }
    case 'verify':
      return verify(parts)
  }
}

async function status({ db }: ConversionParts): Promise<Outcome> {
  const rows = await db.all<{ encrypted: number; files: number; sizeBytes: number }>(
    `SELECT CASE WHEN path LIKE '%${ENCRYPTED}' THEN 1 ELSE 0 END AS "encrypted", COUNT(*) AS "files", COALESCE(SUM(size_bytes), 0) AS "sizeBytes" FROM archive_instance GROUP BY 1`,
  )
  const of = (encrypted: number) => rows.find((row) => row.encrypted === encrypted) ?? { files: 0, sizeBytes: 0 }
  const [plain, sm4] = [of(0), of(1)]
  return {
    facts: { plain: { files: plain.files, sizeBytes: plain.sizeBytes }, sm4: { files: sm4.files, sizeBytes: sm4.sizeBytes } },
    text: `明文 in clear ${plain.files} (${megabytes(plain.sizeBytes)}), SM4 ${sm4.files} (${megabytes(sm4.sizeBytes)})`,
    sound: true,
  }
}

async function convert(parts: ConversionParts, to: EncryptionMode, tell: (text: string) => void): Promise<Outcome> {
  const onProgress: ConversionParts['onProgress'] = ({ converted, sizeBytes }) => tell(`\r${converted} (${megabytes(sizeBytes)}) `)
  for (;;) {
    try {
      const { converted, sizeBytes, damaged } = await convertArchive({ ...parts, onProgress }, to)
      tell('\n')
      const stopped = parts.signal?.aborted ?? false
      const text = `${stopped ? '已中断 stopped, ' : ''}${to === 'sm4' ? '已加密 encrypted' : '已解密 decrypted'} ${converted} (${megabytes(sizeBytes)})${listed(damaged)}`
      return { facts: { to, converted, sizeBytes, damaged: damaged.length, stopped }, text, sound: damaged.length === 0 && !stopped }
    } catch (error) {
      const wait = isProblem(error) && error.code === 'archive/converting' ? error.facts['retryAfterMs'] : undefined
      if (typeof wait !== 'number' || parts.signal?.aborted) throw error
      // One that was killed holds its place for a moment.
      tell('等待另一任务结束 / waiting for another conversion to end\n')
      await sleep(wait + 100)
    }
  }
}

async function verify(parts: ConversionParts): Promise<Outcome> {
  await requireRightKey(parts.db, parts.encryption, false)
  // The node may be putting a file in its place: what is wrong is looked at again.
  const check = await checkArchive(parts, true, async (work) => sleep(1_000).then(work))
  const { checkedInstances, missing, wrongSize, wrongDigest, orphans } = check
  const wrong = [...missing, ...wrongSize, ...wrongDigest]
  return {
    facts: { ...check },
    text: `核对 checked ${checkedInstances}; 缺失 missing ${missing.length}, 大小不符 wrong size ${wrongSize.length}, 摘要不符 wrong digest ${wrongDigest.length}, 无登记 unlisted ${orphans.length}${listed([...wrong, ...orphans])}`,
    sound: wrong.length === 0 && orphans.length === 0,
  }
}

const listed = (names: readonly string[]) => (names.length === 0 ? '' : `\n  ${names.slice(0, 50).join('\n  ')}${names.length > 50 ? '\n  …' : ''}`)
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`

main().then(
  (code) => (process.exitCode = code),
  (error: unknown) => {
    console.error(isProblem(error) ? `${error.answer.zh} / ${error.answer.en} (${error.code})` : error instanceof Error ? error.message : String(error))
    process.exitCode = 1
  },
)
