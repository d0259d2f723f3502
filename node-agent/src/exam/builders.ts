import { RegionId } from 'specs'
import { A, CHEST } from '../access/builders.ts'
import type { StudyRow } from '../archive/archive.ts'

/** A CT study of 王小东 as the archive tells of it. */
export const aStudyRow = (change: Partial<StudyRow> = {}): StudyRow => ({
  regionId: RegionId.parse('yunling'), hospitalId: A, studyInstanceUid: CHEST, patientId: 'P1', issuerOfPatientId: '', patientName: 'Wang^XiaoDong=王^小东',
  patientBirthDate: '19600521', patientSex: 'M', patientAge: '', studyDate: '20260301', studyTime: '081500.25', accessionNumber: 'ACC1', studyId: '',
  studyDescription: '胸部CT', referringPhysicianName: '', institutionName: '', modalitiesInStudy: ['CT'], bodyPartsExamined: ['CHEST'], sopClassesInStudy: [],
  seriesCount: 1, instanceCount: 2, sizeBytes: 100, duplicateCount: 0, tier: '', campus: '', receivedAt: 1_000, updatedAt: 1_000, ...change,
}) // prettier-ignore
