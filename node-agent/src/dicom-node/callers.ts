import type { Queries } from 'service-kit'
import type { DeviceRights } from '../access/policy/subject.ts'
import type { CallerTerms } from '../dimse/services.ts'
import type { WorklistDevice } from '../worklist/device.ts'
import type { DicomSettingsBook } from './dicom-settings.ts'
import type { OwnReceivingNode } from './receiving-store.ts'
import { anyDevice, knownCaller } from './store.ts'

/** Who may call this node, and what for: by registration, or by the check of AE titles being switched off (ARC-05). Asked anew every time. */
export class Callers {
  readonly #db: Queries
  readonly #settings: Pick<DicomSettingsBook, 'current'>

  constructor({ db, settings }: { db: Queries; settings: Pick<DicomSettingsBook, 'current'> }) {
    this.#db = db
    this.#settings = settings
  }

  /** undefined: it may not associate. A device that is registered as not allowed stays out, check or no check. */
  async rightsOf(aeTitle: string): Promise<DeviceRights | undefined> {
    return (await this.#known(aeTitle))?.rights
  }

  async worklistDevice(aeTitle: string): Promise<WorklistDevice | undefined> {
    const known = await this.#known(aeTitle)
    return known && { rights: known.rights, ownWorklist: known.terms?.ownWorklist ?? false }
  }

  /** @param receiving the node of ours that it called, if one of those with a submitter. */
  async termsOf(aeTitle: string, receiving?: OwnReceivingNode): Promise<CallerTerms | false> {
    if (receiving && receiving.callers.length > 0 && !receiving.callers.some((caller) => caller === aeTitle)) return false
    const known = await this.#known(aeTitle)
    if (!known) return false
    const { charset, maxAssociations, preferredSyntaxes } = known.terms ?? { charset: null, maxAssociations: null, preferredSyntaxes: [] }
    return { charset: charset ?? undefined, maxAssociations: maxAssociations ?? undefined, preferredSyntaxes, receivingNode: receiving?.aeTitle }
  }

  async #known(aeTitle: string) {
    const known = await knownCaller(this.#db, aeTitle)
    if (known === 'closed') return undefined
    return known ?? (this.#settings.current.checkCallingAe ? undefined : { rights: anyDevice, terms: undefined })
  }
}
