import { execFile } from 'node:child_process'
import { readFile, rename, writeFile, mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { Buffer } from 'node:buffer'
import { hmacSm3, randomBytes } from 'pki'
import { z } from 'zod'

/** Where the key comes from that all others are sealed under; at most one of the three, a key file unless told. */
export const VaultConfig = z
  .strictObject({
    /** Made at the first start, readable by its owner only. Belongs on another medium than the data and its backups. */
    keyFile: z.string().min(1).optional(),
    /** Name of an environment variable that holds the key. */
    environment: z.string().regex(/^[A-Z_][A-Z0-9_]*$/).optional(), // prettier-ignore
    /** A program and its arguments that print the key: the door to a key server or a card. */
    command: z.array(z.string().min(1)).min(1).optional(),
  })
  .refine((config) => Object.values(config).filter((value) => value !== undefined).length <= 1, 'only one of keyFile, environment, command')
export type VaultConfig = z.output<typeof VaultConfig>

/** With the key file named: among the keys of the service unless told, where no backup takes it along. */
export function vaultSettingsOf(config: VaultConfig, at: (path: string) => string, dataFolder: string): VaultConfig {
  if (config.environment !== undefined || config.command !== undefined) return config
  return { keyFile: config.keyFile === undefined ? join(dataFolder, 'keys', 'vault.kek') : at(config.keyFile) }
}

/** 密钥加密密钥: 32 bytes, and a short name that tells keys apart without telling the key. */
export interface Kek {
  readonly id: string
  readonly bytes: Uint8Array
}

/** Several while it is being changed; the first is the one to be used from now on. */
export interface KekSource {
  read(): Promise<readonly Kek[]>
  /** Makes the first key where there may be one made: only a key file can. Undefined elsewhere. */
  readonly create?: () => Promise<void>
  /** Puts a new key before the others; `forget` leaves only the first. */
  readonly renew?: { add(): Promise<void>; forget(): Promise<void> }
  /** For messages: where an administrator has to look. */
  readonly place: string
}

export function kekSourceOf(config: VaultConfig & { keyFile?: string }, environment: NodeJS.ProcessEnv = process.env): KekSource {
  if (config.command) return fromCommand(config.command)
  if (config.environment) return fromEnvironment(config.environment, environment)
  if (config.keyFile) return keyFile(config.keyFile)
  throw new Error('vault: no key file is named')
}

/** @param text hexadecimal keys of 32 bytes, separated by white space; lines beginning with # are remarks. */
export function parseKeks(text: string, place: string): readonly Kek[] {
  const found = text.replace(/^\s*#.*$/gm, '').split(/[\s,]+/).filter(Boolean) // prettier-ignore
  if (found.length === 0 || found.some((key) => !/^[0-9a-f]{64}$/i.test(key))) {
    throw new Error(`${place}: this is not a vault key (64 hexadecimal digits). Put the right key there; nothing was changed.`)
  }
  return found.map((key) => kekOf(Buffer.from(key, 'hex')))
}

export const kekOf = (bytes: Uint8Array): Kek => ({
  id: Buffer.from(hmacSm3(bytes, Buffer.from('lianpian vault key id'))).toString('hex').slice(0, 16),
  bytes,
}) // prettier-ignore

const newKey = () => Buffer.from(randomBytes(32)).toString('hex')
const REMARK = '# Lianpian vault key. Without it sealed data cannot be read by anybody. Keep a copy apart from the backups.\n'

function keyFile(file: string): KekSource {
  const read = async () => parseKeks(await readFile(file, 'utf8'), file)
  const replace = async (keys: readonly string[]) => {
    await writeFile(`${file}.new`, `${REMARK}${keys.join('\n')}\n`, { mode: 0o600, flush: true } as Parameters<typeof writeFile>[2])
    await rename(`${file}.new`, file)
  }
  const hex = (keys: readonly Kek[]) => keys.map(({ bytes }) => Buffer.from(bytes).toString('hex'))
  return {
    place: file,
    read: async () => {
      try {
        return await read()
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
        throw error
      }
    },
    create: async () => {
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      try {
        await writeFile(file, `${REMARK}${newKey()}\n`, { mode: 0o600, flag: 'wx', flush: true } as Parameters<typeof writeFile>[2])
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error // another process was quicker: its key counts
      }
    },
    renew: {
      add: async () => replace([newKey(), ...hex(await read())]),
      forget: async () => replace(hex((await read()).slice(0, 1))),
    },
  }
}

const fromEnvironment = (name: string, environment: NodeJS.ProcessEnv): KekSource => ({
  place: `environment variable ${name}`,
  read: async () => (environment[name] ? parseKeks(environment[name], `environment variable ${name}`) : []),
})

const fromCommand = ([program, ...args]: readonly string[]): KekSource => ({
  place: `the output of ${program}`,
  read: async () => parseKeks((await promisify(execFile)(program!, args, { timeout: 30_000 })).stdout, `the output of ${program}`),
})
