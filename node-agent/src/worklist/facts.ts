import type { HospitalId } from 'specs'
import type { ExamFacts } from '../access/policy/exam-facts.ts'
import type { WorklistItem } from './item.ts'

type Placed = Pick<WorklistItem, 'itemId' | 'examId' | 'patientId' | 'campus' | 'department' | 'area' | 'modality'>

/** As much of an item as rights depend on; whoever enters exams and their images is not asked for clearance. */
export const factsOfItem = ({ itemId, examId, patientId, campus, department, area, modality }: Placed, owner: HospitalId): ExamFacts => ({
  owner, patientId, campus, department, area, modality,
  examId: examId ?? itemId,
  label: 'ordinary',
  requestingDepartment: '',
  requestingPhysician: '',
}) // prettier-ignore
