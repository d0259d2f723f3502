import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

/** Files below a folder, by path from it. */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
}

/** What somebody who holds the disk would look for, found in the content of files: the mark of a DICOM file, or any of `words`. */
export async function readableIn(folder: string, words: readonly string[] = []): Promise<string[]> {
  const found: string[] = []
  for (const name of await filesBelow(folder)) {
    const text = (await readFile(path.join(folder, name))).toString('latin1')
    for (const word of ['DICM', ...words]) if (text.includes(word)) found.push(`${word} in ${name}`)
  }
  return found
}
