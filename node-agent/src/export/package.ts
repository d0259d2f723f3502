import { Buffer } from 'node:buffer'
import { createSm3 } from 'pki'
import { isProblem, type ExportFormat, type LeftOutReason, type ProblemCode } from 'specs'
import type { InstanceFile } from '../archive/archive.ts'
import type { Renderer } from '../dicom/render/renderer.ts'
import { rewrittenFile } from '../dicom/rewritten-file.ts'
import { maskedFile } from '../dicomweb/identity-export.ts'
import type { StudyAccess } from '../dicomweb/study-source.ts'
import type { Contents, Leaving, StayingBehind } from './contents.ts'
import type { PictureMarker } from './picture-marks.ts'
import { pseudonymising, type Pseudonymity } from './pseudonymise.ts'
import { ZipWriter, type Sink } from './zip-writer.ts'

/** How the instances of one export are written. */
export type Form =
  | { readonly kind: 'as-stored' }
  | { readonly kind: 'masked' }
  | { readonly kind: 'pseudonymous'; readonly pseudonymity: () => Pseudonymity }
  | { readonly kind: 'pictures'; readonly format: Exclude<ExportFormat, 'dicom'>; readonly renderer: Renderer; readonly marker: PictureMarker }

export interface PackageParts {
  readonly study: StudyAccess
  readonly contents: Contents
  readonly form: Form
  /** Written at the end, when it is known what could not be read. */
  readonly report: (count: number, staying: readonly StayingBehind[]) => string
  readonly sink: Sink
  readonly signal: AbortSignal
  readonly onProgress: (progress: { done: number; sentBytes: number }) => void
  readonly now: Date
}

/** An entry smaller than this surely stays below what the old form of ZIP can say, however much its header grows. */
const SURELY_SMALL = 3 * 1024 ** 3

const reasons: Partial<Record<ProblemCode, LeftOutReason>> = { 'archive/unreadable': 'unreadable', 'archive/not-renderable': 'not-renderable' }

/** The whole export, while it is made: images, digests, report, and only then the directory without which it is no archive. */
export async function writePackage({ study, contents, form, report, sink, signal, onProgress, now }: PackageParts): Promise<void> {
  const zip = new ZipWriter(sink, now)
  const sums: string[] = []
  const staying = [...contents.staying]
  let done = 0
  const add = async (path: string, content: AsyncIterable<Uint8Array>, sizeBytes: number) => {
    const digest = createSm3()
    await zip.add(path, digested(content, digest), { isLarge: sizeBytes > SURELY_SMALL })
    sums.push(`${digest.digestHex()}  ${path}`)
    done += 1
    onProgress({ done, sentBytes: zip.sizeBytes })
  }
  for (const leaving of contents.leaving) {
    signal.throwIfAborted()
    try {
      const file = await study.instance(leaving.row.sopInstanceUid, signal)
      if (form.kind === 'pictures') for (let frame = 1; frame <= leaving.frames; frame += 1) await add(...(await picture(file, leaving, frame, form)))
      else await add(`${leaving.place}.dcm`, await begun(contentOf(file, form)), file.sizeBytes)
    } catch (error) {
      // What cannot be read stays behind by itself; whatever had begun to go out cannot be taken back.
      const reason = isProblem(error) ? reasons[error.code] : undefined
      if (reason === undefined || signal.aborted) throw error
      staying.push({ label: leaving.place, reason })
    }
  }
  await zip.add('SM3SUMS.txt', [Buffer.from(`${sums.join('\n')}\n`)])
  await zip.add('说明-README.txt', [Buffer.from(`\uFEFF${report(done, staying)}`)])
  await zip.end()
  onProgress({ done, sentBytes: zip.sizeBytes })
}

function contentOf(file: InstanceFile, form: Exclude<Form, { kind: 'pictures' }>): AsyncIterable<Buffer> {
  if (form.kind === 'as-stored') return file.stream() as AsyncIterable<Buffer>
  if (form.kind === 'masked') return maskedContent(file)
  const pseudonymity = form.pseudonymity()
  const { sopClassUid, sopInstanceUid } = file.row
  return rewrittenFile(file, pseudonymising(pseudonymity), { sopClassUid, sopInstanceUid: pseudonymity.uid(sopInstanceUid) })
}

async function* maskedContent(file: InstanceFile): AsyncGenerator<Buffer> {
  yield* (await maskedFile(file)).stream() as AsyncIterable<Buffer>
}

async function picture(file: InstanceFile, { place, frames }: Leaving, frame: number, { format, renderer, marker }: Extract<Form, { kind: 'pictures' }>): Promise<[string, AsyncIterable<Uint8Array>, number]> {
  const rendered = await renderer.picture(file, frame, { mediaType: 'image/png', quality: 100 })
  const marked = await marker.mark(rendered, format)
  const name = frames === 1 ? place : `${place}-${String(frame).padStart(4, '0')}`
  return [`${name}.${format === 'png' ? 'png' : 'jpg'}`, one(marked), marked.length]
}

async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes)
}

/** The same content, once its first bytes are there: what cannot be read at all is known before the archive has an entry for it. */
async function begun(content: AsyncIterable<Buffer>): Promise<AsyncGenerator<Buffer>> {
  const chunks = content[Symbol.asyncIterator]()
  const first = await chunks.next()
  return (async function* () {
    try {
      if (!first.done) yield first.value
      for (;;) {
        const next = await chunks.next()
        if (next.done) return
        yield next.value
      }
    } catch (error) {
      throw new Error('a file broke off while it was exported', { cause: error })
    } finally {
      await chunks.return?.()
    }
  })()
}

async function* digested(content: AsyncIterable<Uint8Array>, digest: ReturnType<typeof createSm3>): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    digest.update(chunk)
    yield chunk
  }
}
