import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Scp {
  aeTitle: string
  host: string
  port: number
}

/** DCMTK's storescu in one association: rejects when it ends with an error; success means that every C-STORE was answered with success. */
export async function storescu(scp: Scp, folder: string, options: string[] = [], otherFolders: string[] = []): Promise<string> {
  const { stdout, stderr } = await execute('storescu', ['-v', '+sd', '+r', '-aec', scp.aeTitle, ...options, scp.host, String(scp.port), folder, ...otherFolders], { maxBuffer: 16 * 1024 * 1024, timeout: 120_000 })
  return stdout + stderr
}

/** How storescu proposes one uncompressed syntax alone; dcmsend would take the one it likes best. */
const uncompressed: Readonly<Record<string, string>> = { '1.2.840.10008.1.2': '-xi', '1.2.840.10008.1.2.1': '-xe', '1.2.840.10008.1.2.2': '-xb' }

/** Sends a copy of a file as a study of its own, in its own transfer syntax: fixtures of one image share their UIDs. */
export async function sendCopy({ aeTitle, host, port }: Scp, source: string, transferSyntaxUid: string): Promise<{ file: string; study: string }> {
  const file = join(mkdtempSync(join(tmpdir(), 'lianpian-copy-')), 'copy.dcm')
  copyFileSync(source, file)
  await execute('dcmodify', ['-nb', '-gst', '-gse', '-gin', file])
  const { stdout } = await execute('dcmdump', ['+P', 'StudyInstanceUID', file])
  const study = /\[([0-9.]+)\]/.exec(stdout)?.[1]
  if (!study) throw new Error(`no study in ${source}: ${stdout}`)
  const option = uncompressed[transferSyntaxUid]
  await (option ? execute('storescu', ['-R', '-aec', aeTitle, option, host, String(port), file]) : execute('dcmsend', ['-aec', aeTitle, '-dn', host, String(port), file]))
  return { file, study }
}

/** DCMTK's findscu: the answers as text. */
export async function findscu(scp: Scp, keys: string[]): Promise<string> {
  const { stdout, stderr } = await execute('findscu', ['-S', '-aec', scp.aeTitle, ...keys.flatMap((key) => ['-k', key]), scp.host, String(scp.port)], { timeout: 30_000 })
  return stdout + stderr
}

/** A workstation that receives: DCMTK's storescp with a folder of its own. */
export async function startStorescp(aeTitle: string): Promise<Scp & { received(): number; stop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-storescp-'))
  const port = await freePort()
  const child = spawn('storescp', ['-aet', aeTitle, '-od', folder, '+xa', String(port)], { stdio: 'ignore' })
  return {
    aeTitle,
    host: '127.0.0.1',
    port,
    received: () => readdirSync(folder).filter((name) => !name.endsWith('.tmp')).length,
    stop: async () => {
      const ended = once(child, 'exit')
      child.kill('SIGTERM')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
