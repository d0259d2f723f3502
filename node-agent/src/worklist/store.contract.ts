import type { Database } from 'service-kit'
import { AeTitle, ReceivingNode } from 'specs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dicomNodeMigrations } from '../dicom-node/store.ts'
import { addReceivingNode, changeReceivingNode, listReceivingNodes, receivingNodeMigrations, removeReceivingNode } from '../dicom-node/receiving-store.ts'
import { anElement, type DataItem } from '../dicom/data-set.ts'
import { addStep, findStep, itemsOfStep, performedStepsOf, performedStepsOfItems, saveStep } from './performed-step-store.ts'
import { addItem, cancelItem, changeItem, eraseOfExam, itemsMeant, listItems, readItem, settleItem } from './store.ts'
import { worklistMigrations } from './tables.ts'
import { aDraft } from './worklist.builder.ts'

const step = (status: string): DataItem => [anElement('PerformedProcedureStepStatus', status), anElement('Modality', 'CT')]
const known = (sopInstanceUid: string, examId: string | null = null) => ({ sopInstanceUid, callingAeTitle: 'CT01', studyInstanceUid: '2.25.5', accessionNumber: 'A1', examId })

/** What the tables of worklist and receiving nodes do in every database that we ship (LOC-05). */
export function worklistContract(name: string, open: () => Promise<Database>): void {
  describe(`worklist and receiving nodes in ${name}`, () => {
    let db: Database
    beforeAll(async () => {
      db = await open()
      await db.migrate('worklist', worklistMigrations)
      await db.migrate('receiving-node', receivingNodeMigrations)
      await db.migrate('dicom-node', dicomNodeMigrations)
    })
    afterAll(() => db.close())

    it('give items in the order of their times, page by page, narrowed by day, modality and device', async () => {
      const times = ['10:00', '08:00', '09:00'] as const
      await db.write(async (tx) => {
        for (const startTime of times) await addItem(tx, aDraft({ startTime, startDate: '2026-01-05', accessionNumber: `T${startTime}` }), null, 1)
        await addItem(tx, aDraft({ startDate: '2026-01-06', modality: 'MR', scheduledStationAeTitle: AeTitle.parse('MR01') }), null, 1)
      })
      const first = await listItems(db, { from: '2026-01-05', to: '2026-01-06', limit: 2 })
      expect(first.map(({ startTime }) => startTime)).toEqual(['08:00', '09:00'])
      const rest = await listItems(db, { from: '2026-01-05', to: '2026-01-06', limit: 5, after: first.at(-1) })
      expect(rest.map(({ startTime, modality }) => [startTime, modality])).toEqual([['10:00', 'CT'], ['09:00', 'MR']]) // prettier-ignore
      expect(await listItems(db, { from: '2026-01-06', station: 'CT01', limit: 5 })).toEqual([])
      expect(await listItems(db, { from: '2026-01-06', station: 'MR01', states: ['scheduled'], limit: 5 })).toHaveLength(1)
    })

    it('bring an item to where its performed steps have it, and keep a step as it ended', async () => {
      const item = await db.write((tx) => addItem(tx, aDraft({ startDate: '2026-02-01', accessionNumber: 'A1' }), 'exam-1', 1))
      const stateNow = async () => (await readItem(db, item.itemId)).state
      await db.write(async (tx) => {
        expect(await addStep(tx, known('2.25.1', 'exam-1'), step('IN PROGRESS'), [item.itemId, item.itemId], 2)).toBe(true)
        expect(await addStep(tx, known('2.25.1'), step('IN PROGRESS'), [], 2)).toBe(false)
        await settleItem(tx, item.itemId, 2)
      })
      expect(await stateNow()).toBe('started')
      await expect(db.write((tx) => cancelItem(tx, item.itemId, 3))).rejects.toMatchObject({ code: 'worklist/closed' })
      await db.write(async (tx) => {
        expect(await saveStep(tx, '2.25.1', step('DISCONTINUED'), 3)).toBe(true)
        expect(await saveStep(tx, '2.25.1', step('COMPLETED'), 3)).toBe(false)
        await settleItem(tx, item.itemId, 3)
      })
      expect(await stateNow()).toBe('scheduled')
      expect((await findStep(db, '2.25.1'))?.row).toMatchObject({ state: 'DISCONTINUED', examId: 'exam-1' })
      expect(await itemsOfStep(db, '2.25.1')).toEqual([item.itemId])
      expect((await performedStepsOfItems(db, [item.itemId])).get(item.itemId)).toHaveLength(1)
      expect(await performedStepsOf(db, { study: '2.25.5' })).toHaveLength(1)
      const { after } = await db.write((tx) => changeItem(tx, item.itemId, aDraft({ startDate: '2026-02-02', accessionNumber: 'A1' }), 4))
      expect(after).toMatchObject({ startDate: '2026-02-02', scheduledStepId: item.scheduledStepId, studyInstanceUid: item.studyInstanceUid })
    })

    it('find what a device means by step, by accession number, by study', async () => {
      const [item] = await itemsMeant(db, { scheduledStepId: '', accessionNumber: 'A1', studyInstanceUid: '' })
      if (!item) throw new Error('made above')
      expect((await itemsMeant(db, { scheduledStepId: item.scheduledStepId, accessionNumber: 'other', studyInstanceUid: '' }))[0]?.itemId).toBe(item.itemId)
      expect((await itemsMeant(db, { scheduledStepId: 'foreign', accessionNumber: '', studyInstanceUid: item.studyInstanceUid }))[0]?.itemId).toBe(item.itemId)
    })

    it('forget with an exam what they know of its patient', async () => {
      expect(await db.write((tx) => eraseOfExam(tx, 'exam-1'))).toEqual({ scheduledSteps: 1, performedSteps: 1 })
      expect(await performedStepsOf(db, { examId: 'exam-1' })).toEqual([])
    })

    it('have each AE title and each port once', async () => {
      const node = ReceivingNode.parse({ aeTitle: 'SOUTH', port: 11_500 })
      const { id } = await db.write((tx) => addReceivingNode(tx, node, 1))
      const clash = { code: 'dimse/receiving-node-exists' }
      await expect(db.write((tx) => addReceivingNode(tx, ReceivingNode.parse({ aeTitle: 'SOUTH' }), 1))).rejects.toMatchObject(clash)
      await expect(db.write((tx) => addReceivingNode(tx, ReceivingNode.parse({ aeTitle: 'NORTH', port: 11_500 }), 1))).rejects.toMatchObject(clash)
      await db.write((tx) => addReceivingNode(tx, ReceivingNode.parse({ aeTitle: 'NORTH' }), 1))
      await db.write((tx) => addReceivingNode(tx, ReceivingNode.parse({ aeTitle: 'EAST' }), 1))
      expect(await db.write((tx) => changeReceivingNode(tx, id, ReceivingNode.parse({ aeTitle: 'OTHER', port: 11_501 }), 2))).toMatchObject({ aeTitle: 'SOUTH', port: 11_501 })
      await db.write((tx) => removeReceivingNode(tx, id))
      expect((await listReceivingNodes(db)).map(({ aeTitle }) => aeTitle)).toEqual(['EAST', 'NORTH'])
    })
  })
}
