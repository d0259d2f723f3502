import { describe, expect, it } from 'vitest'
import type { ConsultDetail, ExamSnapshot } from 'specs'
import { ageOf, paperTime, sheetFacts, signatureState } from './opinion-sheet.ts'

const exam = { patient: { id: 'P1', name: 'ZHANG^XIULAN=张^秀兰', sex: 'F', birthDate: '1959-03-02', age: '067Y' }, accessionNumber: 'CT1', modality: 'CT', bodyPart: 'CHEST', description: '', studyDate: '20261122', studyTime: '0930' } as ExamSnapshot
const signed = {
  submitter: 'hospital-a', patientName: '张*', facts: { modality: 'CT', bodyPart: 'CHEST' }, appliedAt: 0,
  hospitalNames: { 'hospital-a': '云溪县人民医院', 'hospital-c': '澄江省立医院' },
  events: [{ type: 'submitted', at: 0, by: { name: '王建华', title: '主治医师' } }],
  opinion: { text: { signer: { hospitalId: 'hospital-c', name: '陈思远', title: '主任医师' }, signedAt: 0 } },
} as unknown as ConsultDetail // prettier-ignore
const say = (key: string, values: Record<string, unknown> = {}) => [key, ...Object.values(values)].join(' ')

describe('the opinion on paper', () => {
  it('names patient, exam, both hospitals, who asked and who answered', () => { // CON-01, CON-28
    const facts = Object.fromEntries(sheetFacts(signed, exam, say).map(({ label, text }) => [label, text]))
    expect(facts).toMatchObject({
      'print.name': '张秀兰', 'exam.sex': 'exam.F', 'print.age': 'print.ageY 67', 'print.examined': 'CT CHEST', 'exam.time': '2026-11-22 09:30',
      'consult.submitter': '云溪县人民医院', 'print.applicant': '王建华 主治医师', 'consult.target': '澄江省立医院', 'print.expert': '陈思远 主任医师',
    }) // prettier-ignore
  })
  it('leaves out what nobody entered', () => expect(sheetFacts(signed, exam, say).map(({ label }) => label)).not.toContain('exam.description'))
  it('writes times with their date, today too', () => expect(paperTime(Date.now())).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d$/))
  it('reads ages as DICOM writes them, and nothing else', () => expect([ageOf('067Y'), ageOf('003M'), ageOf('67'), ageOf('')]).toEqual([{ key: 'Y', n: 67 }, { key: 'M', n: 3 }, undefined, undefined]))
  it('does not call a signature good before it has been verified', () => expect([true, false, null].map((opinionValid) => signatureState({ opinionValid }))).toEqual(['valid', 'invalid', 'unchecked']))
})
