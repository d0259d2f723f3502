import { Buffer } from 'node:buffer'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sm2Sign, sm2Verify, type Sm2PrivateKey, type Sm2PublicKey } from 'pki'
import { canonicalJson, SignedHead, type AuditEvent, type AuditHead } from 'specs'
import type { Log } from '../log/index.ts'
import type { Head } from './chain.ts'

/** Beside the keys, and in no backup: what a restored database has forgotten is remembered here. */
export const TAIL_MEMORY = 'audit-head.json'
/** The file may lag behind the database by this much. */
const SAVE_MS = 1_000

/** A head as the database holds it; `sealed` is whatever stands beside it. */
export interface StoredHead extends Head {
  readonly sealed: string | null
}

/** What a head says about the records before it when it is not the one that was signed last. */
export interface TailBreach {
  readonly kind: 'rewritten' | 'truncated' | 'replaced'
  /** The records concerned begin here, as far as this process knows; a checkpoint may say it better. */
  readonly fromSeq: number
  readonly toSeq: number
}

export interface TailParts {
  readonly party: string
  readonly key: Sm2PrivateKey
  readonly keyFolder: string
  readonly log: Log
  readonly now: () => number
}

/**
 * The end of a chain, from the last checkpoint to the newest record. Whoever can write the database can compute hashes, so the head is signed with every
 * batch, and nothing is added behind a head that this trail has not signed. The newest head is remembered in memory and, outside the database, in
 * a file: an older one that was once genuine does not pass for the present one.
 */
export class Tail {
  readonly #parts: TailParts
  #known: AuditHead | undefined
  #newest: string | undefined
  #timer: NodeJS.Timeout | undefined
  #saving: Promise<void> = Promise.resolve()

  private constructor(parts: TailParts, remembered: SignedHead | undefined) {
    this.#parts = parts
    this.#known = remembered?.head
  }

  static async open(parts: TailParts): Promise<Tail> {
    const remembered = await readTailMemory(parts.keyFolder)
    const isOurs = remembered !== undefined && remembered.head.party === parts.party && isGenuineHead(remembered, parts.key.publicKey)
    if (remembered !== undefined && !isOurs) parts.log.warn({ file: join(parts.keyFolder, TAIL_MEMORY) }, 'the remembered head of the audit trail is not signed by it and is left aside')
    return new Tail(parts, isOurs ? remembered : undefined)
  }

  get keyPem(): string {
    return this.#parts.key.publicKey.toPem()
  }

  /** @returns what to keep beside the head. */
  seal({ trailId, seq, hash }: Head): string {
    const { party, key, now } = this.#parts
    const head: AuditHead = { v: 1, kind: 'audit.head', party, trailId, seq, hash, at: now() }
    const signature = Buffer.from(sm2Sign(key, Buffer.from(canonicalJson(head), 'utf8'))).toString('base64')
    return JSON.stringify({ head, signature } satisfies SignedHead)
  }

  /** Whether the next record may stand behind this head as if nothing had happened. Pure but for what is known. */
  examine(head: StoredHead): TailBreach | undefined {
    const known = this.#known
    if (known !== undefined) {
      if (known.trailId !== head.trailId) return { kind: 'replaced', fromSeq: 1, toSeq: Math.max(1, head.seq) }
      if (head.seq < known.seq) return { kind: 'truncated', fromSeq: head.seq + 1, toSeq: known.seq }
      if (head.seq === known.seq) return head.hash === known.hash ? undefined : { kind: 'rewritten', fromSeq: head.seq, toSeq: head.seq }
    } else if (head.seq === 0) return undefined // a new trail
    // Another process of this party has written since, or one of ours that remembered nothing.
    if (sealedHeadOf(head, this.#parts.key.publicKey) !== undefined) return undefined
    return { kind: 'rewritten', fromSeq: (known?.seq ?? 0) + 1, toSeq: head.seq }
  }

  /** After the commit: this is the newest head. */
  wrote(sealed: string): void {
    const { head } = JSON.parse(sealed) as SignedHead
    if (this.#known?.trailId === head.trailId && head.seq < this.#known.seq) return
    this.#known = head
    this.#newest = sealed
    this.#timer ??= setTimeout(() => void this.#save(), SAVE_MS)
    this.#timer.unref()
  }

  #save(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const newest = this.#newest
    this.#newest = undefined
    if (newest === undefined) return this.#saving
    const { keyFolder, log } = this.#parts
    const file = join(keyFolder, TAIL_MEMORY)
    this.#saving = this.#saving.then(async () => {
      try {
        await writeFile(`${file}.new`, newest, { mode: 0o600 })
        await rename(`${file}.new`, file)
      } catch (error) {
        log.warn({ err: error }, 'the head of the audit trail is not remembered outside its database')
      }
    })
    return this.#saving
  }

  async close(): Promise<void> {
    await this.#save()
  }
}

/** @returns undefined when there is none that can be read. */
export async function readTailMemory(keyFolder: string): Promise<SignedHead | undefined> {
  try {
    return SignedHead.parse(JSON.parse(await readFile(join(keyFolder, TAIL_MEMORY), 'utf8')))
  } catch {
    return undefined
  }
}

export const isGenuineHead = ({ head, signature }: SignedHead, key: Sm2PublicKey): boolean => sm2Verify(key, Buffer.from(canonicalJson(head), 'utf8'), Buffer.from(signature, 'base64'))

/** The head as it was signed; undefined unless it is this very one and the key's. */
export function sealedHeadOf({ trailId, seq, hash, sealed }: { trailId: string; seq: number; hash: string; sealed: string | null }, key: Sm2PublicKey): AuditHead | undefined {
  try {
    const signed = SignedHead.parse(JSON.parse(sealed ?? 'null'))
    const isThis = signed.head.trailId === trailId && signed.head.seq === seq && signed.head.hash === hash
    return isThis && isGenuineHead(signed, key) ? signed.head : undefined
  } catch {
    return undefined
  }
}

/** The record that says so: the chain goes on, and every verification from now on names what cannot be vouched for. */
export const breachEvent = (party: string, { kind, fromSeq, toSeq }: TailBreach): AuditEvent => ({
  action: 'audit.alarm',
  outcome: 'failed',
  actor: { kind: 'system', id: party },
  object: { type: 'audit', id: party },
  code: 'audit/conflict',
  facts: { breach: kind, fromSeq, toSeq },
})
