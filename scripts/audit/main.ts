// npm run audit -- verify --dir <data folder> [--witness <file>] …: whether an audit trail is what was once written, without the service that wrote it.
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { AUDIT_PUBLIC_KEY, AUDIT_TAIL_PUBLIC_KEY, openDatabase, readTailMemory, readWitnesses, verifyTrail, type AuditVerdict, type Database } from 'service-kit'
import { isProblem } from 'specs'

const HELP = `npm run audit -- verify --dir <数据目录 data folder of a node or the hub>
  --witness <file>   检查点见证：区域平台或其他医院导出的文件（JSON 行），可多次 / checkpoints kept by the hub or another node; may be repeated
  --root <file>      区域根证书 / PEM root of the region; found in the data folder of a node unless told
  --url <postgres://…> --schema <name>   审计库在 PostgreSQL 时，可与 --dir 同用 / where the trail lies in PostgreSQL; with --dir for its keys
  --json             机器可读 / the verdict as JSON
结果 exit code: 0 完整 whole · 1 有问题 something was found · 2 无法校验 cannot be verified`

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      dir: { type: 'string' },
      witness: { type: 'string', multiple: true, default: [] },
      root: { type: 'string', multiple: true, default: [] },
      url: { type: 'string' },
      schema: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const { dir, url, schema } = values
  if (values.help || positionals[0] !== 'verify' || (dir === undefined && url === undefined)) {
    console.log(HELP)
    return values.help ? 0 : 2
  }
  const file = dir === undefined ? undefined : join(dir, 'audit.sqlite')
  if (url === undefined && (file === undefined || !existsSync(file))) throw new Error(`没有找到审计库 / no audit trail at ${file}`)
  const db = await openDatabase(url !== undefined ? { dialect: 'postgres', url, ...(schema !== undefined && { schema }) } : { dialect: 'sqlite', file: file ?? '' })
  try {
    const witnesses = (await Promise.all(values.witness.map(async (name) => readWitnesses(await readFile(name, 'utf8'))))).flat()
    const given = await Promise.all(values.root.map((name) => readFile(name, 'utf8')))
    const rootPems = given.length > 0 || dir === undefined ? given : await rootsOf(dir)
    const verdict = await verifyTrail(db, { witnesses, rootPems, ...(dir !== undefined && (await proofOf(join(dir, 'keys')))), onProgress: progress(values.json) })
    console.log(values.json ? JSON.stringify(verdict, undefined, 2) : textOf(verdict))
    return verdict.findings.length === 0 ? 0 : 1
  } finally {
    await db.close()
  }
}

function progress(quiet: boolean): (done: number, total: number) => void {
  let told = 0
  return (done, total) => {
    if (quiet || !process.stderr.isTTY || Date.now() - told < 500) return
    told = Date.now()
    process.stderr.write(`\r${done}/${total}`)
  }
}

/** Every region that a node has joined. */
async function rootsOf(dir: string): Promise<string[]> {
  const file = join(dir, 'node.sqlite')
  if (!existsSync(file)) return []
  const db: Database = await openDatabase({ dialect: 'sqlite', file })
  try {
    const rows = await db.all<{ body: string }>('SELECT body FROM membership')
    return rows.flatMap(({ body }) => (JSON.parse(body) as { rootCertificate?: string }).rootCertificate ?? [])
  } catch {
    return []
  } finally {
    await db.close()
  }
}

/** What lies beside the database: public keys of the trail, and the head that it remembered last. */
async function proofOf(keys: string) {
  const pem = async (name: string) => (existsSync(join(keys, name)) ? await readFile(join(keys, name), 'utf8') : undefined)
  return { ownKeyPem: await pem(AUDIT_PUBLIC_KEY), tailKeyPem: await pem(AUDIT_TAIL_PUBLIC_KEY), remembered: await readTailMemory(keys) }
}

function textOf({ records, firstSeq, lastSeq, checkpoints, witnesses, party, trailId, findings }: AuditVerdict): string {
  const what = `${party ?? ''} ${trailId ?? ''}\n记录 records ${records} (${firstSeq ?? 0}–${lastSeq}) · 检查点 checkpoints ${checkpoints} · 见证 witnesses ${witnesses}`
  if (findings.length === 0) return `${what}\n完整，未发现改动 / whole: nothing was changed`
  const lines = findings.map(({ kind, seq, toSeq, eventId, action, at, detail }) => {
    const place = toSeq === undefined || toSeq === seq ? `#${seq}` : `#${seq}–${toSeq}`
    const about = [at === undefined ? '' : new Date(at).toISOString(), action ?? '', eventId ?? ''].filter((text) => text !== '').join(' ')
    return `${kind.toUpperCase().padEnd(10)} ${place}  ${detail}${about === '' ? '' : `  [${about}]`}`
  })
  return `${what}\n发现 ${findings.length} 处 / ${findings.length} findings:\n${lines.join('\n')}`
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(isProblem(error) ? `${error.answer.zh} / ${error.answer.en} ${JSON.stringify(error.facts)}` : error instanceof Error ? error.message : String(error))
  process.exitCode = 2
}
