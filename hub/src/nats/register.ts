import { join } from 'node:path'
import type { HospitalId } from 'specs'
import { z } from 'zod'
import { readOrUndefined, writePrivate } from './secret-files.ts'
import type { Revocations } from './claims.ts'

const Register = z.object({
  /** Public keys of the NATS users each hospital was given and that are still good. */
  admitted: z.record(z.string(), z.array(z.string())),
  revoked: z.record(z.string(), z.number().int()),
})
type Register = z.infer<typeof Register>

/** Who holds NATS credentials of the region and whose were withdrawn. Public keys only; kept as `users.json`. */
export class NatsRegister {
  readonly #file: string
  #held: Register

  private constructor(file: string, held: Register) {
    this.#file = file
    this.#held = held
  }

  static async open(dir: string): Promise<NatsRegister> {
    const file = join(dir, 'users.json')
    const text = await readOrUndefined(file)
    return new NatsRegister(file, text === undefined ? { admitted: {}, revoked: {} } : Register.parse(JSON.parse(text)))
  }

  get revocations(): Revocations {
    return this.#held.revoked
  }

  admittedOf(hospitalId: HospitalId): readonly string[] {
    return this.#held.admitted[hospitalId] ?? []
  }

  /** Earlier users of the hospital stop counting: whoever joins again replaces what it held. */
  async admit(hospitalId: HospitalId, publicKey: string, atSeconds: number): Promise<void> {
    const revoked = { ...this.#held.revoked, ...timesOf(this.admittedOf(hospitalId), atSeconds) }
    await this.#save({ admitted: { ...this.#held.admitted, [hospitalId]: [publicKey] }, revoked })
  }

  async revoke(hospitalId: HospitalId, atSeconds: number): Promise<void> {
    const { [hospitalId]: users = [], ...admitted } = this.#held.admitted
    await this.#save({ admitted, revoked: { ...this.#held.revoked, ...timesOf(users, atSeconds) } })
  }

  async #save(next: Register): Promise<void> {
    await writePrivate(this.#file, `${JSON.stringify(next, undefined, 2)}\n`)
    this.#held = next
  }
}

const timesOf = (publicKeys: readonly string[], atSeconds: number): Record<string, number> =>
  Object.fromEntries(publicKeys.map((key) => [key, atSeconds]))
