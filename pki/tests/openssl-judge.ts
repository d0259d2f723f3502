import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** The user ID of GB/T 32918.2 that everybody uses; openssl takes the empty one unless told. */
const ID = 'distid:1234567812345678'

/** Certificates and revocation lists as the `openssl` command judges them. Every judgement is `ok`, or what openssl said. */
export class OpensslJudge {
  readonly #folder = mkdtempSync(join(tmpdir(), 'lianpian-judge-'))
  #count = 0

  close(): void {
    rmSync(this.#folder, { recursive: true })
  }

  /** A certificate under its issuer, as strict as openssl can be: signature, names, key identifiers, constraints, validity. `atMs` instead of now. */
  certificate(pem: string, issuerPem: string, { atMs }: { atMs?: number } = {}): string {
    const time = atMs === undefined ? [] : ['-attime', String(Math.floor(atMs / 1_000))]
    return this.#said('verify', '-vfyopt', ID, '-x509_strict', ...time, '-partial_chain', '-trusted', this.#file(issuerPem), this.#file(pem))
  }

  /**
   * A revocation list under its issuer. `openssl crl` cannot be told the user ID of SM2, so its parser takes list and signature apart and its
   * `dgst` checks the one against the other; that issuer and key identifiers agree is read from its text.
   */
  revocationList(pem: string, issuerPem: string): string {
    const [list, issuer] = [this.#file(pem), this.#file(issuerPem)]
    const der = this.#path()
    execFileSync('openssl', ['crl', '-in', list, '-outform', 'DER', '-out', der], { stdio: 'pipe' })
    const parts = execFileSync('openssl', ['asn1parse', '-inform', 'DER', '-in', der], { encoding: 'utf8' })
    const offsets = [...parts.matchAll(/^\s*(\d+):d=1 /gm)].map(([, offset]) => offset ?? '')
    const [tbs, signature, key] = [this.#path(), this.#path(), this.#path()]
    execFileSync('openssl', ['asn1parse', '-inform', 'DER', '-in', der, '-strparse', offsets[0] ?? '', '-noout', '-out', tbs], { stdio: 'pipe' })
    execFileSync('openssl', ['asn1parse', '-inform', 'DER', '-in', der, '-strparse', offsets[2] ?? '', '-noout', '-out', signature], { stdio: 'pipe' })
    execFileSync('openssl', ['x509', '-in', issuer, '-noout', '-pubkey', '-out', key], { stdio: 'pipe' })
    const verdict = this.#said('dgst', '-sm3', '-verify', key, '-sigopt', ID, '-signature', signature, tbs)
    if (verdict !== 'ok') return verdict
    const text = (args: readonly string[]) => execFileSync('openssl', [...args], { encoding: 'utf8' })
    const names = [text(['crl', '-in', list, '-noout', '-issuer']).replace(/^issuer=\s*/, ''), text(['x509', '-in', issuer, '-noout', '-subject']).replace(/^subject=\s*/, '')]
    if (names[0] !== names[1]) return `issuer ${names.join(' is not ')}`
    const keyOf = (text_: string) => /(?:[0-9A-F]{2}:){19}[0-9A-F]{2}/.exec(text_)?.[0]
    const keys = [keyOf(text(['crl', '-in', list, '-noout', '-text']).split('Authority Key Identifier')[1] ?? ''), keyOf(text(['x509', '-in', issuer, '-noout', '-ext', 'subjectKeyIdentifier']))]
    return keys[0] !== undefined && keys[0] === keys[1] ? 'ok' : `key identifier ${keys.join(' is not ')}`
  }

  /** Serials on a list, as openssl reads it. */
  serialsOn(pem: string): string[] {
    const text = execFileSync('openssl', ['crl', '-in', this.#file(pem), '-noout', '-text'], { encoding: 'utf8' })
    return [...text.matchAll(/Serial Number: ([0-9A-F]+)/g)].map(([, serial = '']) => serial.toLowerCase())
  }

  #said(...args: string[]): string {
    const { status, stdout, stderr } = spawnSync('openssl', args, { encoding: 'utf8' })
    return status === 0 ? 'ok' : `${stdout}${stderr}`
  }

  #path(): string {
    return join(this.#folder, `${this.#count++}`)
  }

  #file(content: string): string {
    const path = this.#path()
    writeFileSync(path, content)
    return path
  }
}
