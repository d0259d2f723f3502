import type { Request } from 'express'
import type { User } from 'service-kit'
import { isProblem, Problem, type StudyInstanceUid } from 'specs'
import type { Archive, InstanceFile, InstanceRow, SeriesRow, StudyRow } from '../archive/archive.ts'

/** Whoever asks: the signed-in user as the HTTP face hands it to handlers. */
export type Viewer = Pick<User, 'id' | 'username' | 'name' | 'title' | 'roles' | 'entitlements' | 'department' | 'campus' | 'groups' | 'authMethod' | 'signedInAt'>

/**
 * One study as DICOMweb and WADO-URI read it, wherever it lies: in one of our archives, or at another hospital from which
 * instances arrive while they are asked for. Rows of a remote study may have '' for what its owner has not told yet.
 */
export interface StudyAccess {
  readonly studyInstanceUid: string
  study(): Promise<StudyRow>
  seriesList(): Promise<readonly SeriesRow[]>
  instanceList(seriesInstanceUid?: string): Promise<readonly InstanceRow[]>
  /** gzip of the JSON array of the series, see Archive.seriesMetadata. */
  metadata(seriesInstanceUid: string): Promise<Buffer>
  /** May wait while a remote instance arrives; `signal` ends the waiting. @throws {Problem} archive/unknown-instance */
  instance(sopInstanceUid: string, signal?: AbortSignal): Promise<InstanceFile>
}

/** Finds what a user may see; the one place where access is decided for DICOMweb and WADO-URI. */
export interface StudySource {
  /** Archives whose studies the user may list. @param match what is searched by: DICOM keyword → matching text. @throws {Problem} access/… */
  qido(user: Viewer, match: Readonly<Record<string, string>>): Promise<readonly Archive[]> | readonly Archive[]
  /** Of these studies, those that the user may have on a list. */
  permitted(user: Viewer, archive: Archive, studies: readonly string[]): Promise<ReadonlySet<string>>
  /** All that the user may have on a list, where they are no more than `most`; otherwise undefined. */
  allPermitted(user: Viewer, archive: Archive, most: number): Promise<readonly string[] | undefined>
  /** @param doing `export` for whole objects as files. @throws {Problem} access/… or archive/unknown-study */
  forStudy(user: Viewer, studyInstanceUid: string, doing?: 'view' | 'export', reason?: string): Promise<StudyAccess>
  /** Where STOW-RS puts what the user sends. @throws {Problem} access/forbidden */
  storing(user: Viewer): Promise<Storing> | Storing
}

export interface Storing {
  readonly archive: Archive
  /** Asked of each instance before it is kept. @throws {Problem} access/… when the user may not add to this study. */
  admit(studyInstanceUid: StudyInstanceUid): Promise<void>
}

/** Why somebody takes image files out: a header for programs, a parameter for links. */
export function exportReason(request: Request): string {
  const { reason } = request.query
  const header = request.get('x-lianpian-reason') ?? ''
  return (typeof reason === 'string' && reason !== '' ? reason : decodedHeader(header)).trim().slice(0, 500)
}

/** Headers carry ASCII: other texts come percent-encoded. */
function decodedHeader(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text // a percent sign that means itself
  }
}

/**
 * One instance as a file. With pixels that is an export; a structured report, a key object or a presentation state cannot be looked at
 * in any other form, so asking for it is looking at it (docs/adr/0011).
 * @throws {Problem} access/…, archive/unknown-instance
 */
export async function wholeInstance(
  source: StudySource,
  user: Viewer,
  request: Request,
  at: { readonly study: string; readonly series: string; readonly instance: string },
  signal?: AbortSignal,
): Promise<{ access: StudyAccess; file: InstanceFile }> {
  const viewing = await seen(source, user, at, signal)
  if (viewing?.file.frameIndex.kind === 'none') return viewing
  const access = await source.forStudy(user, at.study, 'export', exportReason(request))
  return { access, file: await instanceAt(access, at.series, at.instance, signal) }
}

/** Programs that hand images on may export without looking. */
async function seen(source: StudySource, user: Viewer, at: { study: string; series: string; instance: string }, signal?: AbortSignal) {
  try {
    const access = await source.forStudy(user, at.study)
    return { access, file: await instanceAt(access, at.series, at.instance, signal) }
  } catch (error) {
    if (isProblem(error) && error.code === 'access/forbidden') return undefined
    throw error
  }
}

/** An instance where its address says it is. @throws {Problem} archive/unknown-instance, when it belongs to another series. */
export async function instanceAt(
  access: StudyAccess,
  seriesInstanceUid: string,
  sopInstanceUid: string,
  signal?: AbortSignal,
): Promise<InstanceFile> {
  const file = await access.instance(sopInstanceUid, signal)
  if (file.row.seriesInstanceUid !== seriesInstanceUid) throw new Problem('archive/unknown-instance', { sopInstanceUid })
  return file
}

export { archiveStudyAccess } from './local-study.ts'
