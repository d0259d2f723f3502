import type { Archive, ArchiveOptions } from './archive.ts'

export async function openArchive(options: ArchiveOptions): Promise<Archive> {
  throw new Error(`archive ${options.name} is being built`)
}
