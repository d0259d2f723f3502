/** A file to upload with the path that it has in its folder. */
export interface PickedFile {
  readonly file: File
  readonly name: string
}

/** Files of a folder chooser, or single ones. */
export const pickedFiles = (list: FileList | null): PickedFile[] => [...(list ?? [])].map((file) => ({ file, name: file.webkitRelativePath || file.name }))

/** What was dropped: files, and whole folders with everything below them. Items are gone after the event, so they are taken at once. */
export async function droppedFiles(transfer: DataTransfer | null): Promise<PickedFile[]> {
  const entries = [...(transfer?.items ?? [])].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  const found: PickedFile[] = []
  for (const entry of entries) await collect(entry, '', found)
  return found
}

async function collect(entry: FileSystemEntry, below: string, found: PickedFile[]): Promise<void> {
  if (isFile(entry)) {
    const file = await new Promise<File>((resolve, reject) => entry.file(resolve, reject))
    found.push({ file, name: below + entry.name })
    return
  }
  if (!isFolder(entry)) return
  const reader = entry.createReader()
  for (;;) {
    // A folder is read in portions of about a hundred; an empty one is the end.
    const portion = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (portion.length === 0) return
    for (const each of portion) await collect(each, `${below}${entry.name}/`, found)
  }
}

const isFile = (entry: FileSystemEntry): entry is FileSystemFileEntry => entry.isFile
const isFolder = (entry: FileSystemEntry): entry is FileSystemDirectoryEntry => entry.isDirectory
/** System files that every medium carries and nobody wants in a list. */
export const isNoise = ({ name }: Pick<PickedFile, 'name'>): boolean => /(?:^|\/)(?:\.DS_Store|Thumbs\.db|desktop\.ini|__MACOSX\/.*|\._[^/]*)$/i.test(name)
export const isZip = ({ name }: Pick<PickedFile, 'name'>): boolean => /\.zip$/i.test(name)
/** What the import is called: the folder, or the first file. */
export const nameOf = (files: readonly PickedFile[]): string => (files[0]?.name.split('/')[0] ?? '').slice(0, 100)
