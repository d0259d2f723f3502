import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const execute = promisify(execFile)

export interface Scp {
  aeTitle: string
  host: string
  port: number
}

/** DCMTK's storescu: rejects when it ends with an error; success means that every C-STORE was answered with success. */
export async function storescu(scp: Scp, folder: string, options: string[] = []): Promise<string> {
  const { stdout, stderr } = await execute('storescu', ['-v', '+sd', '+r', '-aec', scp.aeTitle, ...options, scp.host, String(scp.port), folder], { maxBuffer: 16 * 1024 * 1024, timeout: 120_000 })
  return stdout + stderr
}

/** DCMTK's findscu: the answers as text. */
export async function findscu(scp: Scp, keys: string[]): Promise<string> {
  const { stdout, stderr } = await execute('findscu', ['-S', '-aec', scp.aeTitle, ...keys.flatMap((key) => ['-k', key]), scp.host, String(scp.port)], { timeout: 30_000 })
  return stdout + stderr
}
