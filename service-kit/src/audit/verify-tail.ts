import { loadPublicKey } from 'pki'
import { AuditRecord, type SignedCheckpoint, type SignedHead } from 'specs'
import { isGenuineHead, sealedHeadOf } from './tail.ts'
import type { AuditFinding } from './verify.ts'

/** As it stands in the database; `sealed` is absent in a trail that no present version has opened. */
export interface HeadRow {
  readonly trail_id: string
  readonly seq: number
  readonly hash: string
  readonly sealed?: string | null
}

export interface HeadCheck {
  /** Those whose signature is good, oldest first. */
  readonly checkpoints: readonly SignedCheckpoint[]
  readonly party: string | null
  readonly tailKeyPem?: string | undefined
  readonly remembered?: SignedHead | undefined
  readonly found: (finding: AuditFinding) => void
}

/** A place of the chain that the verification has to find as it is said here. */
export interface Promised {
  readonly seq: number
  readonly hash: string
  readonly source: 'memory'
}

/**
 * The records behind the last checkpoint are vouched for by the signature beside the head: a chain rewritten there with every hash right ends in a head that
 * nobody signed. What was remembered outside the database says whether the head is an older one.
 *
 * @returns what was remembered, for the verification to look for.
 */
export function checkHead(row: HeadRow | undefined, check: HeadCheck): Promised[] {
  const { checkpoints, party, tailKeyPem, remembered, found } = check
  // Only a certificate vouches for a key; without one it is what the verifier brings along.
  const vouched = checkpoints.findLast(({ checkpoint, signed }) => checkpoint.tailKey !== undefined && signed.certificateChain.length > 0)?.checkpoint.tailKey
  const named = checkpoints.findLast(({ checkpoint }) => checkpoint.tailKey !== undefined)?.checkpoint.tailKey
  const keyPem = tailKeyPem ?? vouched ?? named
  const covered = checkpoints.filter(({ checkpoint }) => checkpoint.seq <= (row?.seq ?? 0)).at(-1)?.checkpoint.seq ?? 0
  if (vouched !== undefined && tailKeyPem !== undefined && vouched.trim() !== tailKeyPem.trim()) {
    found({ kind: 'signature', seq: covered, detail: '链尾签名密钥与检查点所记的不同 / the key that signs the end of the chain is not the one that the checkpoint names' })
  }
  if (keyPem === undefined) return [] // a trail from before heads were signed
  const key = loadPublicKey(keyPem)
  // A checkpoint at this very place says as much, and says it better when it differs.
  if (row !== undefined && row.seq > covered && sealedHeadOf({ trailId: row.trail_id, seq: row.seq, hash: row.hash, sealed: row.sealed ?? null }, key) === undefined) {
    const from = covered + 1
    const why = row.sealed ? '链头签名与链头不符 / the signature beside the head is not of this head' : '链头没有签名 / the head is not signed'
    found({ kind: 'rewritten', seq: from, toSeq: row.seq, detail: `${why}：第 ${from}–${row.seq} 条无法证实 / records ${from} to ${row.seq} are not vouched for` })
  }
  if (remembered === undefined || !isGenuineHead(remembered, key) || (party !== null && remembered.head.party !== party)) return []
  const { trailId, seq, hash } = remembered.head
  if (row !== undefined && trailId !== row.trail_id) {
    found({ kind: 'replaced', seq: 1, detail: `库外记录的是另一条链 ${trailId} / another trail is remembered outside the database: this one took its place` })
    return []
  }
  return seq === 0 ? [] : [{ seq, hash, source: 'memory' }]
}

/** What the writer itself has said in the chain when it met a head that it had not signed. */
export function namedBreach(body: string, found: (finding: AuditFinding) => void): void {
  const record = parsed(body)
  if (record === undefined || record.actor.kind !== 'system' || record.object?.id !== record.node) return
  const { breach, fromSeq, toSeq } = record.facts ?? {}
  if ((breach !== 'rewritten' && breach !== 'truncated' && breach !== 'replaced') || typeof fromSeq !== 'number' || typeof toSeq !== 'number') return
  const { seq, eventId, action, at } = record
  found({ kind: breach, seq: fromSeq, toSeq, eventId, action, at, detail: `写入程序在第 ${seq} 条处记下：${said[breach]} / noted by the writer in record ${seq}` })
}

const said = {
  rewritten: '此前的链尾不是它写的 (the end of the chain was not written by it)',
  truncated: '此前的链尾被截断 (the end of the chain had been cut off)',
  replaced: '此链取代了另一条链 (this chain took the place of another)',
} as const

function parsed(body: string): AuditRecord | undefined {
  try {
    return AuditRecord.parse(JSON.parse(body))
  } catch {
    return undefined
  }
}
