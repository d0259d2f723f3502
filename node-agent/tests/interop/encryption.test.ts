import { Buffer } from 'node:buffer'
import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import process from 'node:process'
import { promisify } from 'node:util'
import { sm3Hex } from 'pki'
import { BackupRepository, createBackup, createLog, restoreBackup } from 'service-kit'
import { HospitalId } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { root as repository } from '../../../scripts/run.mjs'
import { aSlice, send, testArchive } from '../../src/archive/archive.builder.ts'
import { EncryptedInput } from '../../src/archive/encryption/encrypted-input.ts'
import { HEADER_BYTES } from '../../src/archive/encryption/file-form.ts'
import { databaseOf, loadNodeConfig, NodeConfig, settingsOf } from '../../src/config.ts'
import { buildFile } from '../../src/dicom/dataset.builder.ts'
import { sendInstances } from '../../src/dimse/scu.ts'
import { instanceOfArchive } from '../../src/dimse/stored-instance.ts'
import { startNode, type RunningNode } from '../../src/node.ts'
import { ApiUser } from '../../../scripts/region/api.ts'
import { filesBelow, readableIn } from '../support/on-disk.ts'
import { password } from '../support/region.ts'
import { datasetIn, datasetOf, fixture, freePort, run, startPeer, until } from './dimse-support.ts'

const silent = createLog({ name: 'test', level: 'silent' })
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('an encrypted file', () => {
  it('is SM4-CTR as OpenSSL does it, from its first and from any block', async () => {
    // SEC-11
    const test = await testArchive({ encryptionMode: 'sm4' })
    const plain = buildFile(aSlice({ Rows: 700, Columns: 500, PixelData: Buffer.from(Array.from({ length: 700_000 }, (_each, index) => index % 239)) }))
    await send(test.archive, plain, { source: { kind: 'own', peer: 'test' } })
    const row = (await test.db.get<{ path: string; fileId: string }>('SELECT path, file_id AS "fileId" FROM archive_instance'))!
    const bytes = await readFile(path.join(test.root, row.path))
    const { encryptionKey, iv } = test.encryption.keys.open(bytes, row.fileId)
    const openssl = (counter: Uint8Array, input: Uint8Array) => execFileSync('openssl', ['enc', '-d', '-sm4-ctr', '-K', hex(encryptionKey), '-iv', hex(counter)], { input, maxBuffer: 1 << 24 })
    expect(openssl(iv, bytes.subarray(HEADER_BYTES)).equals(plain)).toBe(true)
    // Block 20,000, by arithmetic that is not ours.
    const counter = ((BigInt(`0x${hex(iv)}`) + 20_000n) % 2n ** 128n).toString(16).padStart(32, '0')
    expect(openssl(Buffer.from(counter, 'hex'), bytes.subarray(HEADER_BYTES + 320_000)).equals(plain.subarray(320_000))).toBe(true)
    await test.close()
  })

  it('is read when OpenSSL has written its content', async () => {
    const test = await testArchive()
    const { key, header } = test.encryption.keys.create('made-elsewhere')
    const plain = Buffer.from('任何字节 any bytes '.repeat(40_000))
    const content = execFileSync('openssl', ['enc', '-sm4-ctr', '-K', hex(key.encryptionKey), '-iv', hex(key.iv)], { input: plain, maxBuffer: 1 << 24 })
    const file = path.join(test.folder, 'made-elsewhere.sm4')
    await writeFile(file, Buffer.concat([header, content]))
    const { open } = await import('node:fs/promises')
    const streamed = new EncryptedInput(test.encryption, 'made-elsewhere').stream(() => open(file, 'r'), 0, plain.length)
    expect(Buffer.concat((await streamed.toArray()) as Buffer[]).equals(plain)).toBe(true)
    await test.close()
  })
})

/** A hospital on its own: a real node on its configuration file, which commands at the console read as well. */
class Hospital {
  readonly folder: string
  readonly config: string
  node!: RunningNode

  constructor(folder: string, encryption: unknown) {
    this.folder = folder
    this.config = path.join(folder, 'config.json')
    this.encryption = encryption
  }

  encryption: unknown
  #user: Promise<ApiUser> | undefined
  get data(): string {
    return path.join(this.folder, 'data')
  }

  async start(): Promise<void> {
    this.#user = undefined
    const account = (username: string, roles: string[]) => ({ username, password, name: username, roles })
    const config = {
      hospital: { id: HospitalId.parse('hospital-a'), name: '云溪县人民医院' },
      http: { port: 0 },
      dimse: { host: '127.0.0.1', port: 0, aeTitle: 'TEST', allowAnyAe: true },
      archive: { minFreeBytes: 1_000_000, encryption: this.encryption },
      identity: { secondFactor: 'optional' },
      accounts: [account('doctor', ['doctor', 'technician']), account('auditor', ['audit-admin'])],
    }
    await mkdir(this.folder, { recursive: true })
    await writeFile(this.config, JSON.stringify(config))
    this.node = await startNode(settingsOf(NodeConfig.parse(config), this.folder), silent)
  }

  get user(): Promise<ApiUser> {
    return (this.#user ??= ApiUser.signIn(`http://127.0.0.1:${this.node.httpPort}`, 'doctor', password))
  }

  /** As a process of its own, which ends. @returns what it said. */
  async startInVain(): Promise<string> {
    const failed = await promisify(execFile)(process.execPath, ['--import', 'tsx', path.join(repository, 'node-agent/src/main.ts'), '--config', this.config], { cwd: repository, timeout: 60_000 }).catch((error: unknown) => error)
    const { code, stderr } = failed as { code: unknown; stderr: string }
    expect(code).toBe(1)
    return stderr
  }

  /** storescu of DCMTK. */
  async receive(...files: string[]): Promise<void> {
    const sent = await run('storescu', ['-aec', 'TEST', '127.0.0.1', String(this.node.dimsePort), ...files])
    expect(sent).toMatchObject({ code: 0 })
  }

  command(script: string, ...args: string[]): Promise<{ stdout: string }> {
    return promisify(execFile)(process.execPath, ['--import', 'tsx', path.join(repository, 'scripts', script, 'main.ts'), ...args], {
      cwd: repository,
    })
  }

  /** Facts of both archives, in hospital first. */
  async archive(command: string): Promise<Record<string, unknown>[]> {
    const { stdout } = await this.command('archive', command, '--config', this.config, '--json')
    return stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>) // prettier-ignore
  }
}

describe('a hospital that keeps its images encrypted', () => {
  const heads = Array.from({ length: 24 }, (_each, index) => index)
  let folder: string
  let files: string[]
  let plain: Map<string, string>
  let hospital: Hospital

  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'lianpian-encryption-'))
    const names = (await readdir(fixture('ct-head-tiny'))).sort().slice(0, heads.length)
    files = names.map((name) => fixture('ct-head-tiny', name))
    hospital = new Hospital(path.join(folder, 'a'), 'sm4')
    await hospital.start()
    await hospital.receive(...files)
  })
  afterAll(async () => {
    await hospital?.node.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const study = async () => ((await (await (await hospital.user).raw('/dicom-web/studies', { headers: { accept: 'application/dicom+json' } })).json()) as Record<string, { Value: string[] }>[])[0]!['0020000D']!.Value[0]!
  const retrieved = async (of: string): Promise<Buffer> => {
    const answer = await (await hospital.user).raw(of, { headers: { accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*' } })
    expect(answer.status, await answer.clone().text()).toBe(200)
    return Buffer.from(await answer.arrayBuffer())
  }
  const json = async (of: string) => (await (await hospital.user).raw(of, { headers: { accept: 'application/dicom+json' } })).json() as Promise<Record<string, { Value: string[] }>[]>
  /** Digest of the first frame of every instance, by SOP Instance UID. */
  const frames = async () => {
    const uid = await study()
    const instances = await json(`/dicom-web/studies/${uid}/instances`)
    const digests = new Map<string, string>()
    for (const row of instances) {
      const [series, instance] = ['0020000E', '00080018'].map((tag) => row[tag]!.Value[0]!)
      const body = (await retrieved(`/dicom-web/studies/${uid}/series/${series}/instances/${instance}/frames/1`)).toString('latin1')
      digests.set(instance!, sm3Hex(Buffer.from(body.slice(body.indexOf('\r\n\r\n') + 4, body.lastIndexOf('\r\n--')), 'latin1')))
    }
    return digests
  }

  it('has nothing on its disk that tells an image or a patient, and serves as ever', async () => {
    // SEC-09, GB/T 22239 8.1.4.8 b, GB/T 39786 8.4 e
    const uid = await study()
    expect(await json(`/dicom-web/studies/${uid}/metadata`)).toHaveLength(heads.length)
    plain = await frames()
    expect(plain.size).toBe(heads.length)
    // The pixels that were sent are those that come back.
    const first = await readFile(files[0]!)
    const body = (await retrieved(`/dicom-web/studies/${uid}/series/${(await json(`/dicom-web/studies/${uid}/series`))[0]!['0020000E']!.Value[0]!}/instances/${[...plain.keys()].find((key) => first.includes(key))!}/frames/1`)).toString('latin1')
    expect(first.toString('latin1')).toContain(body.slice(body.indexOf('\r\n\r\n') + 4, body.lastIndexOf('\r\n--')))

    const archives = await filesBelow(path.join(hospital.data, 'archive-in-hospital'))
    expect(archives.filter((name) => name.endsWith('.dcm.sm4'))).toHaveLength(heads.length)
    expect(archives.filter((name) => name.startsWith('metadata/')).every((name) => name.endsWith('.json.gz.sm4'))).toBe(true)
    expect(await readableIn(path.join(hospital.data, 'archive-in-hospital'), [uid, ...plain.keys(), first.toString('latin1', first.length - 5_000, first.length - 4_960)])).toEqual([])
  })

  it('is asked by C-FIND, and sends on what DCMTK takes for the file that it sent', async () => {
    // FED-15, FED-21
    const uid = await study()
    const found = await run('findscu', ['-S', '-k', '0008,0052=STUDY', '-k', `0020,000d=${uid}`, '-k', '0020,1208', '-aec', 'TEST', '127.0.0.1', String(hospital.node.dimsePort)])
    expect(found.output).toMatch(new RegExp(`0020,1208\\) IS \\[${heads.length}`))
    const test = await testArchive({ encryptionMode: 'sm4' })
    const original = await readFile(files[0]!)
    const receipt = await send(test.archive, original)
    const received = path.join(folder, 'received')
    await mkdir(received)
    const port = await freePort()
    const peer = await startPeer('storescp', ['-od', received, '-uf', '+xa', '+B', String(port)], port)
    const deliveries = await sendInstances({ aeTitle: 'STORESCP', host: '127.0.0.1', port }, [instanceOfArchive(test.archive, receipt)], { callingAeTitle: 'TEST' })
    await peer.stop()
    const [name] = await readdir(received)
    expect(deliveries).toMatchObject([{ kind: 'stored' }])
    expect((await datasetOf(path.join(received, name!))).bytes.equals(datasetIn(original).bytes)).toBe(true)
    await test.close()
  })

  it('comes back from a backup only when the key of its vault is put back', async () => {
    // SEC-15, ADR 0013
    const backups = path.join(folder, 'backups')
    const backupFolder = await BackupRepository.open(backups, 'a rehearsal of disaster')
    const settings = loadNodeConfig(hospital.config)
    const databases = (['node', 'archive-in-hospital', 'archive-regional', 'audit'] as const).map((part) => databaseOf(settings, part))
    const backup = await createBackup(backupFolder, { service: 'hospital-a', folder: hospital.data, databases, skip: ['incoming', 'keys/vault.kek'] })
    expect(await readableIn(backups, [await study()])).toEqual([])
    await hospital.node.stop()
    const key = path.join(folder, 'vault.kek')
    await copyFile(path.join(hospital.data, 'keys', 'vault.kek'), key)
    await rm(hospital.data, { recursive: true })
    await restoreBackup(backupFolder, backup, { folder: hospital.data })
    // Without the key the node does not start, and makes none.
    expect(await hospital.startInVain()).toContain('vault key is missing')
    await copyFile(key, path.join(hospital.data, 'keys', 'vault.kek'))
    await hospital.start()
    expect(await frames()).toEqual(plain)
  }, 120_000)

  it('does not start when its own database was lost and its vault is a new one', async () => {
    await hospital.node.stop()
    const [database, saved] = [path.join(hospital.data, 'node.sqlite'), path.join(folder, 'node.sqlite')]
    await copyFile(database, saved)
    for (const ending of ['', '-wal', '-shm']) await rm(database + ending, { force: true })
    expect(await hospital.startInVain()).toContain('(archive/wrong-key)')
    for (const ending of ['-wal', '-shm']) await rm(database + ending, { force: true })
    await copyFile(saved, database)
    await hospital.start()
    expect(await frames()).toEqual(plain)
  }, 120_000)

  it('is decrypted and encrypted again by a command while it runs; killed on the way, it goes on the next time, and nobody notices', async () => {
    const archive = path.join(hospital.data, 'archive-in-hospital')
    const child = spawn(process.execPath, ['--import', 'tsx', path.join(repository, 'scripts/archive/main.ts'), 'decrypt', '--config', hospital.config], { cwd: repository, stdio: 'ignore' })
    const ended = once(child, 'exit')
    await until('some files have another name', async () => (await filesBelow(archive)).some((name) => /\.c[0-9a-f]{8}(?:\.new)?$/.test(name)), 60_000)
    child.kill('SIGKILL')
    await ended
    expect(await frames()).toEqual(plain)
    expect((await hospital.archive('decrypt'))[0]).toMatchObject({ to: 'none', damaged: 0, stopped: false })
    const held = await filesBelow(archive)
    expect(held.filter((name) => name.startsWith('hospital-a/') && !name.endsWith('.sm4'))).toHaveLength(heads.length)
    expect(held.filter((name) => name.endsWith('.sm4') || name.endsWith('.new'))).toEqual([])
    expect(await frames()).toEqual(plain)

    expect((await hospital.archive('encrypt'))[0]).toMatchObject({ to: 'sm4', converted: heads.length, damaged: 0 })
    expect(await frames()).toEqual(plain)
    expect(await readableIn(archive, [await study()])).toEqual([])
    expect((await hospital.archive('verify'))[0]).toMatchObject({ checkedInstances: heads.length, missing: [], wrongSize: [], wrongDigest: [], orphans: [] })
    // What was done at the console stands in the trail.
    const auditor = await ApiUser.signIn(`http://127.0.0.1:${hospital.node.httpPort}`, 'auditor', password)
    await until('the trail knows', async () => (await auditor.get<{ rows: unknown[] }>('/api/audit/records?action=archive.convert')).rows.length === 4, 60_000)
  }, 180_000)
})
