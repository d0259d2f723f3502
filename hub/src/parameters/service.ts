import type { AuditTrail, Database, Transaction } from 'service-kit'
import { kinds, noParameters, shownParameters, type AgentParameters, type EpochMs, type HospitalId, type ParametersInput, type ParametersRow, type ParametersTold } from 'specs'
import type { Outbox } from '../directory/directory.ts'
import { readHospital } from '../hospital/store.ts'
import { findParameters, listParameters, REGION, removeParameters, saveParameters, type KeptParameters, type Safe, type Scope } from './store.ts'

export interface ParametersParts {
  readonly db: Database
  readonly safe: Safe
  readonly outbox: Outbox
  readonly audit: AuditTrail
  readonly joined: () => Promise<HospitalId[]>
  readonly now: () => EpochMs
}

/** 服务端参数 (AGT-13): one set for the region, others for hospitals that need their own. Nodes are told that something changed and ask. */
export class Parameters {
  readonly #parts: ParametersParts

  constructor(parts: ParametersParts) {
    this.#parts = parts
  }

  async list(): Promise<ParametersRow[]> {
    return (await listParameters(this.#parts.db, this.#parts.safe)).map(rowOf)
  }

  /** What counts for a hospital: its own as a whole, else the region's. */
  async of(hospitalId: HospitalId): Promise<ParametersTold> {
    const { db, safe } = this.#parts
    const found = (await findParameters(db, safe, hospitalId)) ?? (await findParameters(db, safe, REGION))
    return found ? { version: found.version, parameters: found.parameters } : { version: 0, parameters: noParameters }
  }

  /** @throws {Problem} region/unknown-hospital */
  async set(scope: Scope, input: ParametersInput, by: string): Promise<ParametersRow> {
    const { db, safe, audit, now } = this.#parts
    if (scope !== REGION) await readHospital(db, scope)
    const before = await findParameters(db, safe, scope)
    const parameters = withKeptSecret(input, before?.parameters)
    const at = now()
    const version = await db.write(async (tx) => {
      const saved = await saveParameters(tx, safe, scope, parameters, by, at)
      await audit.within(tx, { action: 'config.parameters', outcome: 'success', object: { type: 'config', id: `parameters/${scope}` }, before: before && shownParameters(before.parameters), after: shownParameters(parameters) })
      await this.#tell(tx, scope, saved)
      return saved
    })
    return rowOf({ scope, parameters, version, updatedAt: at, updatedBy: by })
  }

  /** The hospital follows the region again; without the region's, its own configuration. */
  async remove(scope: Scope): Promise<void> {
    const { db, safe, audit, now } = this.#parts
    const before = await findParameters(db, safe, scope)
    if (!before) return
    await db.write(async (tx) => {
      await removeParameters(tx, scope)
      await audit.within(tx, { action: 'config.parameters', outcome: 'success', object: { type: 'config', id: `parameters/${scope}` }, before: shownParameters(before.parameters) })
      await this.#tell(tx, scope, now())
    })
  }

  /** Only that there is news: the parameters themselves stay sealed here until the hospital asks. */
  async #tell(tx: Transaction, scope: Scope, version: number): Promise<void> {
    const joined = await this.#parts.joined()
    for (const id of joined) if (scope === REGION || id === scope) await this.#parts.outbox.post(tx, id, kinds.parametersChanged, { version })
  }
}

const rowOf = ({ parameters, ...row }: KeptParameters): ParametersRow => ({ ...row, parameters: shownParameters(parameters) })

function withKeptSecret({ s3, ...input }: ParametersInput, before: AgentParameters | undefined): AgentParameters {
  if (s3 === null) return { ...input, s3 }
  // Another bucket or server never gets the key of the one before.
  const isSame = before?.s3?.endpoint === s3.endpoint && before.s3.accessKeyId === s3.accessKeyId
  return { ...input, s3: { ...s3, secretAccessKey: s3.secretAccessKey || (isSame ? (before?.s3?.secretAccessKey ?? '') : '') } }
}
