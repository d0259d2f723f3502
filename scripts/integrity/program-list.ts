import { createReadStream, readdirSync, statSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { createSm3, loadPrivateKey, loadPublicKey, sm2Sign, sm2Verify } from 'pki'
import { canonicalJson, Sm3Hex } from 'specs'
import { z } from 'zod'

/** Every file of the program with its SM3, and who vouches for the list. */
export const ProgramList = z.object({
  product: z.literal('lianpian'),
  version: z.string().max(40),
  /** With the packages it runs on, or the product's own files alone. */
  packages: z.boolean(),
  files: z.record(z.string(), Sm3Hex),
  /** SM2 over the canonical JSON of everything else, DER, base64. */
  signature: z.string().max(400).optional(),
})
export type ProgramList = z.infer<typeof ProgramList>

/** What an installation makes for itself; it may change without anybody having touched the program. */
const made = new Set(['.git', '.cache', '.run', '.vite', 'data', 'coverage'])
/** Only these are run or shown. Configuration is the hospital's and not part of the program. */
const parts = /\.(?:[cm]?[jt]s|vue|json|html|css|wasm|node|sh|py|nft|svg)$/

/** Paths with `/`, in order. */
export function programFiles(root: string, { packages }: { packages: boolean }): string[] {
  const found: string[] = []
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      if (made.has(entry.name) || (entry.name === 'node_modules' && !packages)) continue
      const path = join(folder, entry.name)
      if (entry.isDirectory()) walk(path)
      else if (entry.isFile() && parts.test(entry.name)) found.push(relative(root, path).split(sep).join('/'))
    }
  }
  walk(root)
  return found.sort()
}

export async function makeList(root: string, version: string, { packages }: { packages: boolean }): Promise<ProgramList> {
  const files: Record<string, z.infer<typeof Sm3Hex>> = {}
  for (const path of programFiles(root, { packages })) files[path] = await digestOf(join(root, path))
  return { product: 'lianpian', version, packages, files }
}

async function digestOf(file: string): Promise<z.infer<typeof Sm3Hex>> {
  const digest = createSm3()
  for await (const chunk of createReadStream(file)) digest.update(chunk as Uint8Array)
  return Sm3Hex.parse(digest.digestHex())
}

const textOf = ({ signature: _signature, ...signed }: ProgramList): Uint8Array => new TextEncoder().encode(canonicalJson(signed))

export const signList = (list: ProgramList, privateKeyPem: string, passphrase?: string): ProgramList => ({
  ...list,
  signature: Buffer.from(sm2Sign(loadPrivateKey(privateKeyPem, passphrase), textOf(list))).toString('base64'),
})

export const isSignedBy = (list: ProgramList, publicKeyPem: string): boolean =>
  list.signature !== undefined && sm2Verify(loadPublicKey(publicKeyPem), textOf(list), Buffer.from(list.signature, 'base64'))

export interface Differences {
  readonly changed: readonly string[]
  readonly missing: readonly string[]
  /** Files that would be run or shown and that nobody listed. */
  readonly added: readonly string[]
}

/** Compares an installation with a list whose signature was checked before. */
export async function compare(root: string, list: ProgramList): Promise<Differences> {
  const there = new Set(programFiles(root, list))
  const changed: string[] = []
  for (const [path, sm3] of Object.entries(list.files)) {
    if (there.has(path) && statSync(join(root, path)).isFile() && (await digestOf(join(root, path))) !== sm3) changed.push(path)
  }
  return {
    changed,
    missing: Object.keys(list.files).filter((path) => !there.has(path)),
    added: [...there].filter((path) => !(path in list.files)),
  }
}
