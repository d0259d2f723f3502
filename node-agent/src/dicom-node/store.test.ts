import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Database, openDatabase } from 'service-kit'
import { DicomNode, RegionId } from 'specs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { addNode, changeNode, dicomNodeMigrations, listNodes, readNode, regionOfCaller, removeNode, rightsOfCaller } from './store.ts'

let folder: string
let db: Database
const node = (changes: Partial<DicomNode> = {}) => DicomNode.parse({ aeTitle: 'WS01', host: '10.0.0.8', port: 104, ...changes })

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'lianpian-nodes-'))
  db = await openDatabase({ dialect: 'sqlite', file: path.join(folder, 'node.sqlite') })
  await db.migrate('dicom-node', dicomNodeMigrations)
})
afterEach(async () => {
  await db.close()
  await rm(folder, { recursive: true })
})

describe('registered DICOM nodes', () => {
  // FED-15
  it('are kept with IP, port and AE title', async () => {
    const added = await db.write((tx) => addNode(tx, node({ description: '阅片工作站' }), 1))
    expect(await listNodes(db)).toEqual([added])
    expect(await readNode(db, added.id)).toMatchObject({
      aeTitle: 'WS01',
      host: '10.0.0.8',
      port: 104,
      description: '阅片工作站',
      allowed: true,
      forwardPushed: false,
    })
  })

  it('may send to us as long as they are allowed, from the next association on', async () => {
    // ARC-05
    const { id } = await db.write((tx) => addNode(tx, node(), 1))
    expect(await rightsOfCaller(db, 'WS01')).toEqual([{ permissions: ['store', 'query', 'retrieve'], scope: {}, labels: [], place: { campus: '', department: '', area: '' } }])
    expect(await rightsOfCaller(db, 'STRANGER')).toBeUndefined()
    await db.write((tx) => changeNode(tx, id, node({ allowed: false }), 2))
    expect(await rightsOfCaller(db, 'WS01')).toBeUndefined()
  })

  it('are registered once per AE title and address', async () => {
    await db.write((tx) => addNode(tx, node(), 1))
    await expect(db.write((tx) => addNode(tx, node(), 2))).rejects.toMatchObject({ code: 'dimse/node-exists' })
    await db.write((tx) => addNode(tx, node({ port: 11112 }), 3))
    expect(await listNodes(db)).toHaveLength(2)
  })

  it('may send for a region of their own, one for each AE title', async () => {
    // FED-20
    const [east, west] = [RegionId.parse('east'), RegionId.parse('west')]
    const { id } = await db.write((tx) => addNode(tx, node({ regionId: east }), 1))
    await db.write((tx) => addNode(tx, node({ aeTitle: 'CT02' as DicomNode['aeTitle'] }), 1))
    expect([await regionOfCaller(db, 'WS01'), await regionOfCaller(db, 'CT02'), await regionOfCaller(db, 'NEW')]).toEqual([
      'east',
      undefined,
      undefined,
    ])
    await expect(db.write((tx) => addNode(tx, node({ port: 105, regionId: west }), 2))).rejects.toMatchObject({
      code: 'dimse/other-region',
    })
    await db.write((tx) => addNode(tx, node({ port: 105, regionId: null }), 2))
    await db.write((tx) => changeNode(tx, id, node({ regionId: west }), 3))
    expect(await regionOfCaller(db, 'WS01')).toBe('west')
    await db.write((tx) => changeNode(tx, id, node({ regionId: west, allowed: false }), 4))
    expect(await regionOfCaller(db, 'WS01')).toBeUndefined()
  })

  it('are told to be unknown when they are gone', async () => {
    const { id } = await db.write((tx) => addNode(tx, node(), 1))
    await db.write((tx) => removeNode(tx, id))
    await expect(readNode(db, id)).rejects.toMatchObject({ code: 'dimse/unknown-node' })
    await expect(db.write((tx) => removeNode(tx, id))).rejects.toMatchObject({ code: 'dimse/unknown-node' })
    await expect(db.write((tx) => changeNode(tx, id, node(), 4))).rejects.toMatchObject({ code: 'dimse/unknown-node' })
  })
})
