import { execFileSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { identityOf } from '../../scripts/region/dicom-file.ts'
import { storescu, type Scp } from './dcmtk.ts'
import { fixtureFolder } from './story.ts'

/** What was answered with success, by study. */
export type Acknowledged = ReadonlyMap<string, ReadonlySet<string>>

/** A modality in use: sends one exam after the other, some images per association, and like any modality repeats what was not answered. */
export class Modality {
  readonly aeTitle: string
  readonly #batches: string[][] = []
  readonly #acknowledged = new Map<string, Set<string>>()
  #stopped = false
  #running: Promise<void> | undefined
  failedAssociations = 0

  /** @param folder where its exams are made: copies of a fixture under UIDs of their own. */
  constructor(aeTitle: string, folder: string, exams: number, imagesPerAssociation = 4) {
    this.aeTitle = aeTitle
    for (let exam = 0; exam < exams; exam++) {
      const copy = join(folder, `${aeTitle}-${exam}`)
      mkdirSync(copy, { recursive: true })
      cpSync(fixtureFolder('ct-head-tiny'), copy, { recursive: true })
      const files = readdirSync(copy, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
      // UIDs below 2.25 are anybody's (PS3.5 B.2).
      const study = `2.25.${randomInt(2 ** 47)}${exam}`
      execFileSync('dcmodify', ['-nb', '-gin', '-m', `(0020,000D)=${study}`, '-m', `(0020,000E)=${study}.1`, ...files])
      for (let start = 0; start < files.length; start += imagesPerAssociation) this.#batches.push(files.slice(start, start + imagesPerAssociation))
    }
  }

  get acknowledged(): Acknowledged {
    return this.#acknowledged
  }

  start(scp: Scp): void {
    this.#running = this.#send(scp)
  }

  /** Ends after the association under way, which is repeated until it succeeds. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #send(scp: Scp): Promise<void> {
    for (const files of this.#batches) {
      if (this.#stopped) return
      while (!(await this.#succeeds(scp, files))) await sleep(250)
      for (const file of files) {
        const { studyInstanceUid, sopInstanceUid } = await identityOf(file)
        const known = this.#acknowledged.get(studyInstanceUid) ?? new Set()
        this.#acknowledged.set(studyInstanceUid, known.add(sopInstanceUid))
      }
      await sleep(200) // the patient's next turn
    }
  }

  async #succeeds(scp: Scp, files: readonly string[]): Promise<boolean> {
    try {
      await storescu(scp, files[0]!, ['-aet', this.aeTitle], files.slice(1))
      return true
    } catch {
      this.failedAssociations++ // refused, aborted or away: told by the exit code, and repeated
      return false
    }
  }
}
