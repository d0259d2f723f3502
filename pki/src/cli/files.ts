import type { Buffer } from 'node:buffer'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { Problem } from 'specs'

/** @throws {Problem} request/not-found naming the file, so that the person sees which argument was wrong. */
export function readText(path: string): string {
  return readBytes(path).toString('utf8')
}

export function readBytes(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (cause) {
    throw new Problem('request/not-found', { file: path }, { cause })
  }
}

/** Complete or not at all: written beside, then renamed. A crash never leaves half a register. */
export function replaceFile(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(path), { recursive: true })
  const beside = `${path}.new`
  writeFileSync(beside, content, { mode, flush: true })
  renameSync(beside, path)
}

/**
 * A private key: readable by its owner alone, in a folder of its own, and never written over another one.
 * @throws {Problem} request/conflict when the file exists.
 */
export function writeNewKey(path: string, pem: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  try {
    writeFileSync(path, pem, { mode: 0o600, flag: 'wx', flush: true })
  } catch (cause) {
    throw new Problem('request/conflict', { file: path, reason: 'there is a key already; it is not overwritten' }, { cause })
  }
}

export const keyFile = (folder: string): string => join(folder, 'key.pem')
export const certificateFile = (folder: string): string => join(folder, 'certificate.pem')
export const chainFile = (folder: string): string => join(folder, 'chain.pem')
export const requestFile = (folder: string): string => join(folder, 'request.pem')
export const crlFile = (folder: string): string => join(folder, 'crl.pem')
