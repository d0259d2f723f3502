import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createLog } from 'service-kit'
import { NodeConfig, settingsOf } from '../../node-agent/src/config.ts'
import { startNode, type RunningNode } from '../../node-agent/src/node.ts'
import { echo, sendInstances } from '../../node-agent/src/dimse/scu.ts'
import { instanceOfFile } from '../../node-agent/src/dimse/stored-instance.ts'
import { readManifest, unpackFixtures } from '../fixtures.mjs'
import { ApiUser } from '../region/api.ts'

const CT_IMAGE = '1.2.840.10008.5.1.4.1.1.2'
const password = 'lianpian-fuzz-1'

/** A whole node in this process, as a hospital runs it, that every device may call; short waits, so that who says nothing is let go soon. */
export class FuzzedNode {
  readonly #node: RunningNode
  readonly #user: ApiUser

  private constructor(node: RunningNode, user: ApiUser) {
    this.#node = node
    this.#user = user
  }

  static async start(folder: string): Promise<FuzzedNode> {
    const config = NodeConfig.parse({
      hospital: { id: 'fuzzed', name: '云溪县人民医院' },
      dataFolder: join(folder, 'data'),
      http: { port: 0 },
      dimse: { host: '127.0.0.1', port: 0, aeTitle: 'FUZZED', allowAnyAe: true, maxAssociations: 1_000, behaviour: { artimMs: 1_000, idleMs: 1_000, stallMs: 1_000 } },
      archive: { minFreeBytes: 1_000_000 },
      identity: { secondFactor: 'optional' },
      accounts: [{ username: 'fuzz', password, name: 'fuzz', roles: ['doctor', 'technician'] }],
    })
    const node = await startNode(settingsOf(config, folder), createLog({ name: 'fuzzed', level: 'silent' }))
    return new FuzzedNode(node, await ApiUser.signIn(`http://127.0.0.1:${node.httpPort}`, 'fuzz', password))
  }

  get port(): number {
    return this.#node.dimsePort
  }

  get #peer() {
    return { aeTitle: 'FUZZED', host: '127.0.0.1', port: this.port }
  }

  /** A real image, sent by a well-behaved device. @returns how to see that it is there unharmed. */
  async keepGoodImage(): Promise<() => Promise<void>> {
    const row = readManifest().find(({ path }) => path === 'ct-head-tiny/CTHead2.dcm')
    if (!row) throw new Error('the fixture is missing')
    const { sop_instance_uid: sopInstanceUid = '', transfer_syntax_uid: transferSyntaxUid = '' } = row
    const file = join(unpackFixtures('ct-head-tiny'), 'ct-head-tiny', 'CTHead2.dcm')
    const [delivery] = await sendInstances(this.#peer, [instanceOfFile(file, { sopClassUid: CT_IMAGE, sopInstanceUid, transferSyntaxUid })], { callingAeTitle: 'GOOD' })
    if (delivery?.kind !== 'stored') throw new Error(`the good image was not stored: ${JSON.stringify(delivery)}`)
    const before = await this.#digestOf(sopInstanceUid)
    return async () => {
      if ((await this.#digestOf(sopInstanceUid)) !== before) throw new Error('the good image is not what it was')
    }
  }

  async #digestOf(sopInstanceUid: string): Promise<string> {
    const found = await this.#user.get<Record<string, { Value?: string[] }>[]>(`/dicom-web/instances?SOPInstanceUID=${sopInstanceUid}`)
    const uid = (tag: string) => found[0]?.[tag]?.Value?.[0] ?? ''
    const wado = `requestType=WADO&studyUID=${uid('0020000D')}&seriesUID=${uid('0020000E')}&objectUID=${sopInstanceUid}&contentType=application/dicom&transferSyntax=*`
    const file = await this.#user.raw(`/wado?${wado}`)
    if (!file.ok) throw new Error(`WADO answers ${file.status}`)
    return createHash('sha256').update(Buffer.from(await file.arrayBuffer())).digest('hex') // prettier-ignore
  }

  /** A well-behaved device is answered. @throws {Error} when not, or after too long. */
  async requireAnswer(withinMs: number): Promise<number> {
    const result = await echo(this.#peer, { callingAeTitle: 'GOOD', connectMs: withinMs, associateMs: withinMs, responseMs: withinMs })
    if (!result.ok) throw new Error(`a well-behaved device is not answered: ${result.code}`)
    return result.milliseconds
  }

  get openAssociations(): Promise<number> {
    return this.#user.get<{ openAssociations: number }>('/api/dicom-settings').then(({ openAssociations }) => openAssociations)
  }

  async stop(): Promise<void> {
    await this.#node.stop()
  }
}
