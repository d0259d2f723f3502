import { readFileSync, readdirSync, writeFileSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import dicomParser from 'dicom-parser'
import { fixtureFolder } from './story.ts'

/** A study of its own, as a modality would make it. */
export interface MadeStudy {
  readonly studyInstanceUid: string
  readonly patientId: string
  readonly folder: string
  readonly sopInstanceUids: readonly string[]
}

/** All under one root, so that a test knows its own; numbers fill what the fixture's UIDs leave room for. */
const root = '1.2.826.0.1.3680043.2.1125.9.'
const uid = (length: number, ...numbers: number[]) => root + numbers.map((n) => String(100_000 + n)).join('').padStart(length - root.length, '7')

/**
 * Distinct small studies, made from real slices (CT head, 64×64, 9.6 KB): patient, study, series and instance are renamed
 * in place, every other byte stays what the scanner wrote. One folder per study.
 */
export function makeStudies(into: string, { count, instancesEach, batch = 0 }: { count: number; instancesEach: number; batch?: number }): MadeStudy[] {
  const slices = readdirSync(fixtureFolder('ct-head-tiny')).sort().slice(0, instancesEach).map((name) => readFileSync(join(fixtureFolder('ct-head-tiny'), name)))
  return Array.from({ length: count }, (_, number) => {
    const folder = join(into, `study-${batch}-${number}`)
    mkdirSync(folder, { recursive: true })
    const patientId = `P${String(batch * 1_000 + number).padStart(6, '0')}`
    const studyInstanceUid = uid(64, batch, number)
    const sopInstanceUids = slices.map((slice, index) => {
      const sopInstanceUid = uid(64, batch, number, index)
      const renamed = { x00020003: sopInstanceUid, x00080018: sopInstanceUid, x0020000d: studyInstanceUid, x0020000e: uid(64, batch, number, 99_999), x00100020: patientId, x00080050: String(number % 10) }
      writeFileSync(join(folder, `${index}.dcm`), rename(slice, renamed))
      return sopInstanceUid
    })
    return { studyInstanceUid, patientId, folder, sopInstanceUids }
  })
}

/** Overwrites values where they stand; a shorter one is padded as its VR pads (PS3.5 6.2). */
function rename(file: Buffer, values: Record<string, string>): Buffer {
  const bytes = Buffer.from(file)
  const { elements } = dicomParser.parseDicom(file)
  for (const [tag, value] of Object.entries(values)) {
    const element = elements[tag]
    if (!element || value.length > element.length) throw new Error(`${tag} has no room for ${value}`)
    bytes.write(value.padEnd(element.length, element.vr === 'UI' ? '\0' : ' '), element.dataOffset, 'latin1')
  }
  return bytes
}
