import { execFileSync, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { createAccounts, createHttpFace, createLog, createMetrics } from 'service-kit'
import { nodeRoles, Problem } from 'specs'
import { readManifest, unpackFixtures } from '../../../scripts/fixtures.mjs'
import { send, testArchive, type TestArchive } from '../../src/archive/archive.builder.ts'
import type { Archive, InstanceFile, Receipt } from '../../src/archive/archive.ts'
import { createCodecPool } from '../../src/dicom/render/codec-pool.ts'
import { createRenderer } from '../../src/dicom/render/renderer.ts'
import { transcode } from '../../src/dicom/transcode/transcode.ts'
import { mountDicomWeb } from '../../src/dicomweb/routes.ts'
import { archiveStudyAccess, type StudySource } from '../../src/dicomweb/study-source.ts'
import { mountWadoUri } from '../../src/wado-uri/routes.ts'

export const fixture = (set: string, file = ''): string => path.join(unpackFixtures(set), set, file)

/** The fixtures of some sets, with what the manifest says of them. */
export function fixtures(...sets: string[]): { path: string; file: string; decodedMd5: string }[] {
  return readManifest()
    .filter((row) => sets.includes(row['path']?.split('/')[0] ?? ''))
    .map((row) => ({
      path: row['path'] ?? '',
      file: path.join(unpackFixtures(...sets), row['path'] ?? ''),
      decodedMd5: row['decoded_md5'] ?? '',
    }))
}

/** Face, accounts, archive and renderer as a node joins them; the source knows one archive, and one study nobody may see. */
export interface WebService {
  readonly url: string
  readonly token: string
  readonly headers: Record<string, string>
  readonly archive: Archive
  readonly test: TestArchive
  get(path: string, headers?: Record<string, string>): Promise<Response>
  /** The same as an interface of the hospital, which is told identities in full. */
  getInFull(path: string): Promise<Response>
  store(file: string): Promise<Receipt>
  stop(): Promise<void>
}

export const forbiddenStudy = '2.25.666'

export async function startWebService(): Promise<WebService> {
  const test = await testArchive()
  const { archive, db } = test
  const log = createLog({ name: 'dicomweb-test', level: 'silent' })
  const metrics = createMetrics()
  const accounts = await createAccounts({ db, party: 'hospital-a', roles: nodeRoles, log })
  await accounts.ensure({ username: 'wang', password: 'correct horse battery', name: '王医生', title: '', roles: ['doctor'] })
  await accounts.ensure({ username: 'interface', password: 'correct horse battery', name: 'RIS', title: '', roles: ['doctor'] })
  const face = createHttpFace({ name: 'test', version: '0', log, metrics, accounts })
  const codecs = createCodecPool({ log })
  const renderer = createRenderer({ log, codecs })
  const source: StudySource = {
    qido: () => [archive],
    permitted: (_user, _archive, studies) => Promise.resolve(new Set(studies)),
    allPermitted: () => Promise.resolve(undefined),
    async forStudy(_user, studyInstanceUid) {
      if (studyInstanceUid === forbiddenStudy) throw new Problem('access/no-grant')
      return archiveStudyAccess(archive, studyInstanceUid)
    },
    storing: () => ({ archive, admit: async () => undefined }),
  }
  const transcodeHere = (file: InstanceFile, syntax: string) => transcode(file, syntax, { codecs })
  mountDicomWeb(face, { source, renderer, transcode: transcodeHere, allow: ['image.view'], identities: () => true })
  mountWadoUri(face, { source, renderer, transcode: transcodeHere, allow: ['image.view'], identities: () => true })
  const { port } = await face.listen({ host: '127.0.0.1', port: 0, setting: 'http.port' })
  const url = `http://127.0.0.1:${port}`
  const signIn = async (username: string) => {
    const session = await fetch(`${url}/api/sessions`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ username, password: 'correct horse battery' }),
    })
    return ((await session.json()) as { token: string }).token
  }
  const [token, interfaceToken] = [await signIn('wang'), await signIn('interface')]
  const headers = { Authorization: `Bearer ${token}` }
  return {
    url,
    token,
    headers,
    archive,
    test,
    getInFull: (path) => fetch(`${url}${path}`, { headers: { Authorization: `Bearer ${interfaceToken}` } }),
    get: (path, more = {}) => fetch(`${url}${path}`, { headers: { ...headers, ...more } }),
    store: (file) => send(archive, readFileSync(file)),
    async stop() {
      await face.close()
      await codecs.close()
      await test.close()
    },
  }
}

export interface Part {
  readonly headers: Record<string, string>
  readonly body: Buffer
}

/** Splits a multipart answer by the letter of RFC 2046, with nothing of our own reader. */
export async function parts(response: Response): Promise<Part[]> {
  const contentType = response.headers.get('content-type') ?? ''
  const boundary = /boundary="?([^";]+)"?/.exec(contentType)?.[1]
  if (!contentType.startsWith('multipart/related') || !boundary)
    throw new Error(`not multipart: ${response.status} ${contentType} ${await response.text()}`)
  const text = Buffer.from(await response.arrayBuffer()).toString('latin1')
  const pieces = text.split(`--${boundary}`)
  if (pieces.at(-1)?.trim() !== '--') throw new Error('multipart answer is not closed')
  return pieces.slice(1, -1).map((piece) => {
    const end = piece.indexOf('\r\n\r\n')
    const headers = Object.fromEntries(
      piece
        .slice(2, end)
        .split('\r\n')
        .map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    )
    return { headers, body: Buffer.from(piece.slice(end + 4, -2), 'latin1') }
  })
}

/** A multipart/related body as a client makes it. */
export function multipartBody(files: readonly Uint8Array[], type = 'application/dicom'): { headers: Record<string, string>; body: Buffer } {
  const boundary = 'a-client-chose-this'
  const pieces = files.flatMap((file) => [Buffer.from(`\r\n--${boundary}\r\nContent-Type: ${type}\r\n\r\n`), Buffer.from(file)])
  return {
    headers: { 'Content-Type': `multipart/related; type="application/dicom"; boundary=${boundary}` },
    body: Buffer.concat([...pieces, Buffer.from(`\r\n--${boundary}--\r\n`)]),
  }
}

/** pydicom of the distribution reads the same files and says where it reads something else. */
export function askPydicom(script: string, input: unknown): unknown {
  const file = path.join(path.dirname(fileURLToPath(import.meta.url)), 'judges', script)
  return JSON.parse(
    execFileSync('/usr/bin/python3', [file], { input: JSON.stringify(input), maxBuffer: 64 * 1024 * 1024, encoding: 'utf8' }),
  )
}

/** Output of a command line tool, both streams; it may end with any code. */
export function run(command: string, args: readonly string[]): string {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' })
  if (error) throw error
  return stdout + stderr
}
