import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { unpackFixtures } from '../../scripts/fixtures.mjs'

/**
 * Real slices of a chest CT (512 KB each) under new SOP Instance UIDs of the same length, in one folder per association.
 *
 * @param first numbers them, so that no two rounds of a bench send the same instance.
 * @returns the folders.
 */
export function makeInstances(folder: string, { count, associations, first = 0 }: { count: number; associations: number; first?: number }): string[] {
  const source = join(unpackFixtures('ct-chest'), 'ct-chest')
  const slices = readdirSync(source).sort().map((name) => readFileSync(join(source, name)))
  const groups = Array.from({ length: associations }, (_, index) => join(folder, String(index)))
  for (const group of groups) mkdirSync(group, { recursive: true })
  for (let index = 0; index < count; index++) {
    const bytes = Buffer.from(slices[index % slices.length]!)
    const uid = sopInstanceUidOf(bytes)
    const replacement = uid.slice(0, -6) + String(100_000 + first + index)
    for (let at = bytes.indexOf(uid); at >= 0 && at < 4_096; at = bytes.indexOf(uid, at + 1)) bytes.write(replacement, at, 'latin1')
    writeFileSync(join(groups[index % associations]!, `${index}.dcm`), bytes)
  }
  return groups
}

/** Media Storage SOP Instance UID (0002,0003), explicit VR, from the file meta information. */
function sopInstanceUidOf(bytes: Buffer): string {
  const at = bytes.indexOf(Buffer.from([0x02, 0x00, 0x03, 0x00, 0x55, 0x49]))
  const length = bytes.readUInt16LE(at + 6)
  return bytes.toString('latin1', at + 8, at + 8 + length).replace(/\0+$/, '')
}
