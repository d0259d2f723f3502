import { parseWith, SignedCheckpoint, WitnessedCheckpoint } from 'specs'

const Entry = WitnessedCheckpoint.or(SignedCheckpoint)
export type Witness = SignedCheckpoint | WitnessedCheckpoint

/** Checkpoints as the hub or a node exports them: JSON lines, or one JSON array. @throws {Problem} request/invalid */
export function readWitnesses(text: string): Witness[] {
  const trimmed = text.trim()
  const entries: unknown[] = trimmed.startsWith('[') ? (JSON.parse(trimmed) as unknown[]) : trimmed.split('\n').filter((line) => line.trim() !== '').map((line) => JSON.parse(line) as unknown)
  return entries.map((entry) => parseWith(Entry, entry, 'witness'))
}

export const writeWitnesses = (witnesses: readonly Witness[]): string => witnesses.map((witness) => `${JSON.stringify(witness)}\n`).join('')
