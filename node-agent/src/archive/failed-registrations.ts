import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { problemDetails, RegionId, type Problem } from 'specs'
import { z } from 'zod'
import { codeOf } from './storage-problem.ts'
import type { Folders } from './folders.ts'
import { ENCRYPTED } from './encryption/file-form.ts'
import type { LandedInstance } from './incoming.ts'
import type { FailedRegistration } from './archive.ts'

/** What lies beside a file in failed/: the database was out of reach, so this cannot be a row. Identifies without naming the patient. */
const Note = z.object({
  fileId: z.uuid(),
  failedAt: z.number(),
  code: z.string(),
  title: z.string(),
  studyInstanceUid: z.string(),
  sopInstanceUid: z.string(),
  sizeBytes: z.number(),
  source: z.object({
    kind: z.enum(['dimse', 'stow', 'transfer', 'import', 'own']),
    peer: z.string(),
    owner: z.string().optional(),
    regionId: RegionId.optional(),
  }),
})

/** Keeps a file that could not be registered, with the reason, until a person retries or discards it (FED-23). */
export async function keepFailed(folders: Folders, landed: LandedInstance, problem: Problem): Promise<void> {
  const { code, title } = problemDetails(problem)
  const { studyInstanceUid = '', sopInstanceUid = '' } = landed.values
  const note: z.input<typeof Note> = {
    fileId: landed.fileId,
    failedAt: Date.now(),
    code,
    title,
    studyInstanceUid,
    sopInstanceUid,
    sizeBytes: landed.sizeBytes,
    source: landed.source,
  }
  await rename(landed.file, fileOf(folders, landed.fileId) + (landed.encrypted ? ENCRYPTED : ''))
  await writeFile(noteOf(folders, landed.fileId), JSON.stringify(note))
}

export async function listFailed(folders: Folders): Promise<FailedRegistration[]> {
  const names = (await readdir(folders.failed)).filter((name) => name.endsWith('.json'))
  const notes = await Promise.all(
    names.map(async (name) => Note.parse(JSON.parse(await readFile(path.join(folders.failed, name), 'utf8')))),
  )
  return notes.sort((a, b) => b.failedAt - a.failedAt) as FailedRegistration[]
}

/** @returns where the file lies; its name tells whether it is encrypted. */
export async function readFailed(folders: Folders, fileId: string): Promise<{ note: FailedRegistration; file: string } | undefined> {
  if (!z.uuid().safeParse(fileId).success) return undefined
  try {
    const note = Note.parse(JSON.parse(await readFile(noteOf(folders, fileId), 'utf8')))
    const names = await readdir(folders.failed)
    const file = fileOf(folders, fileId)
    return { note: note as FailedRegistration, file: names.includes(path.basename(file)) ? file : file + ENCRYPTED }
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined
    throw error
  }
}

export async function discardFailed(folders: Folders, fileId: string): Promise<void> {
  await rm(fileOf(folders, fileId), { force: true })
  await rm(fileOf(folders, fileId) + ENCRYPTED, { force: true })
  await rm(noteOf(folders, fileId), { force: true })
}

const fileOf = (folders: Folders, fileId: string): string => path.join(folders.failed, `${fileId}.dcm`)
const noteOf = (folders: Folders, fileId: string): string => path.join(folders.failed, `${fileId}.json`)
