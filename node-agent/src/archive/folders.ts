import { mkdir } from 'node:fs/promises'
import path from 'node:path'

/** The folders of one archive besides those of the path template. All on one file system, so that renaming moves. */
export interface Folders {
  readonly root: string
  /** Bytes on their way in. */
  readonly incoming: string
  /** Previous content of replaced instances. */
  readonly replaced: string
  /** Instances that could not be registered, each with a .json that says why. */
  readonly failed: string
  /** Cache of series metadata. */
  readonly metadata: string
  /** Files on their way back from another store. */
  readonly recalled: string
  /** Files of deleted studies, until their time is over. */
  readonly recycled: string
}

export async function makeFolders(root: string): Promise<Folders> {
  const at = (name: string) => path.join(root, name)
  const folders = { root, incoming: at('incoming'), replaced: at('replaced'), failed: at('failed'), metadata: at('metadata'), recalled: at('recalled'), recycled: at('recycled') }
  for (const folder of Object.values(folders)) await mkdir(folder, { recursive: true, mode: 0o750 })
  return folders
}

export const reservedFolders: readonly string[] = ['incoming', 'replaced', 'failed', 'metadata', 'recalled', 'recycled']
