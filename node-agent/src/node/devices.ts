import type { Trail } from 'service-kit'
import type { DicomSettings } from 'specs'
import type { NodeSettings } from '../config.ts'
import { Callers } from '../dicom-node/callers.ts'
import type { DicomPorts } from '../dicom-node/dicom-ports.ts'
import { DicomSettingsBook } from '../dicom-node/dicom-settings.ts'
import { receivingNodeMigrations } from '../dicom-node/receiving-store.ts'
import type { ListeningDicom } from '../dicom-node/settings-routes.ts'
import { placeOfCaller } from '../dicom-node/store.ts'
import { defaultLimits } from '../dimse/limits.ts'
import { worklistMigrations } from '../worklist/tables.ts'
import type { Ground } from './ground.ts'

export type Devices = Awaited<ReturnType<typeof openDevices>>

/** What the configuration file says of the DICOM ports; whatever an administrator has not changed since follows it. */
export function configuredDicom({ dimse }: Pick<NodeSettings, 'dimse'>): DicomSettings {
  const { maxPduBytes, artimMs, idleMs, stallMs, maxMatches } = defaultLimits
  return {
    checkCallingAe: !dimse.allowAnyAe,
    checkCalledAe: false,
    maxAssociations: dimse.maxAssociations,
    maxPduBytes, artimMs, idleMs, stallMs, maxMatches,
    privateSopClasses: 'accept',
    refusedSopClasses: [],
    charset: 'ISO_IR 192',
    ...dimse.behaviour,
  } // prettier-ignore
}

/** Who may call by DICOM and how, as it may be changed while the node runs; the ports themselves are opened last of all. */
export async function openDevices({ settings: { dimse }, db, log }: Ground, { audit }: { audit: Trail }) {
  await db.migrate('receiving-node', receivingNodeMigrations)
  await db.migrate('worklist', worklistMigrations)
  const configured = configuredDicom({ dimse })
  const settings = await DicomSettingsBook.open({ db, log, audit, configured })
  const callers = new Callers({ db, settings })
  const later: { ports?: DicomPorts; listening?: ListeningDicom } = {}
  return {
    settings,
    configured,
    callers,
    later,
    /** Where images belong that nobody registered: to the receiving node's submitter, otherwise where their device stands. */
    placeOf: async (aeTitle: string, receivers: readonly string[] = []) => {
      const node = later.ports?.nodes.find((each) => receivers.some((receiver) => receiver === each.aeTitle))
      const isSaid = node !== undefined && Object.values(node.place).some((part) => part !== '')
      return isSaid ? node.place : placeOfCaller(db, aeTitle)
    },
  }
}
