import type { Archive } from '../archive/archive.ts'
import { buildKeyObjectSelection } from '../key-object/index.ts'
import type { KnownStudy } from '../transfer/remote-study.ts'
import type { Consult } from './consult.ts'
import type { MakeKeyObject } from './sign.ts'

/** The key images of an opinion as a document of the patient's study, so that every viewer of the submitter finds them. */
export function makeKeyObject({ archive, organisation }: { archive: Archive; organisation: () => string }): MakeKeyObject {
  return async (consult, { keyImages, signer, signedAt }) => {
    const [first] = keyImages
    if (!first) return undefined
    const { studyInstanceUid } = first
    const untold = { studyInstanceUid, issuerOfPatientId: '', studyId: '', referringPhysicianName: '' }
    const study = (await archive.study(studyInstanceUid)) ?? { ...untold, ...knownOf(consult) }
    return buildKeyObjectSelection({
      study,
      keyImages,
      author: { name: signer.name, organisation: organisation() },
      description: '会诊关键影像',
      at: new Date(signedAt),
    })
  }
}

/** The exam came with the request; dates back in the form of DICOM. */
export function knownOf({ request, facts }: Consult): KnownStudy {
  const exam = request?.exam
  const digits = (text: string | undefined) => (text ?? '').replace(/\D/g, '')
  return {
    patientId: exam?.patient.id ?? '',
    patientName: exam?.patient.name ?? facts.patientLabel,
    patientSex: exam?.patient.sex ?? '',
    patientBirthDate: digits(exam?.patient.birthDate),
    accessionNumber: exam?.accessionNumber ?? '',
    studyDate: digits(exam?.studyDate),
    studyTime: digits(exam?.studyTime),
    studyDescription: exam?.description ?? '',
  }
}
