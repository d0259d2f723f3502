import type { Outbound, Trail } from 'service-kit'
import { queryFor, retrieveFor, storageFor } from '../access/dicom-services.ts'
import type { DeviceRights } from '../access/policy/subject.ts'
import type { AccessControl } from '../access/access-control.ts'
import type { ExamRegister } from '../access/register-facts.ts'
import { anyDevice, nodeToSendTo, regionOfCaller, rightsOfCaller } from '../dicom-node/store.ts'
import { chooseSyntax, transcode } from '../dicom/transcode/transcode.ts'
import { getService } from '../dimse/c-get.ts'
import { moveService } from '../dimse/c-move.ts'
import { startSecureDimse } from '../dimse/secure-service.ts'
import { startDimseServer, type DimseServerOptions } from '../dimse/server.ts'
import type { TellRefusal } from '../refusal/edge.ts'
import type { Ground } from './ground.ts'

/** What a calling AE title is registered for, now; undefined: it is not. */
export const deviceRights =
  ({ db, settings }: Ground) =>
  async (aeTitle: string): Promise<DeviceRights | undefined> =>
    settings.dimse.allowAnyAe ? anyDevice : rightsOfCaller(db, aeTitle)

export interface DicomParts {
  readonly audit: Trail
  readonly access: AccessControl
  readonly register: ExamRegister
  readonly refused: TellRefusal
  readonly outbound: Outbound
}

/** The node's DICOM ports: the plain one, the one with TLS, or both. @throws An Error for the administrator when a port is taken. */
export async function startDicom(ground: Ground, { audit, access, register, refused, outbound }: DicomParts) {
  const { settings, db, log, metrics, joined, hospitalId, inHospital, regional, codecs } = ground
  const rightsOf = deviceRights(ground)
  const isAllowed = async (aeTitle: string) => (await rightsOf(aeTitle)) !== undefined
  // With one region there is nothing to choose, and no question to the database for every image.
  const regionOf = async (aeTitle: string) => (joined.count > 1 ? regionOfCaller(db, aeTitle) : undefined)
  const services = { access, register, inHospital, regional, rightsOf, regionOf }
  const { tls, ...plain } = settings.dimse
  const source = retrieveFor(services, (file, syntax) => transcode(file, syntax, { codecs, turn: { lane: 'dimse' } }))
  const move = moveService({
    source, log,
    destinationOf: (aeTitle, { remoteAddress }) => nodeToSendTo(db, aeTitle, remoteAddress),
    sending: { callingAeTitle: plain.aeTitle, addressOf: async (host) => (await outbound.addressOf('dicom-node', host)).address },
    onMoved: ({ caller, destinationAeTitle, studyInstanceUid, sent, failed }) =>
      audit.note({
        action: 'transfer.send',
        outcome: failed > 0 ? 'failed' : 'success',
        actor: { kind: 'dicom-node', id: caller.callingAeTitle, sourceIp: caller.remoteAddress },
        object: { type: 'study', id: studyInstanceUid, owner: hospitalId },
        facts: { source: hospitalId, destination: destinationAeTitle, mode: 'c-move', instances: sent, instancesFailed: failed },
      }),
  }) // prettier-ignore
  const service: Omit<DimseServerOptions, 'host' | 'port'> = {
    isAllowed, log, metrics,
    aeTitle: plain.aeTitle,
    limits: { maxAssociations: plain.maxAssociations },
    storage: storageFor(services),
    query: queryFor(services),
    services: [move, getService({ source, log, chooseSyntax })],
    onAccepted: ({ callingAeTitle, remoteAddress }) =>
      audit.note({ action: 'dicom.association', outcome: 'success', actor: { kind: 'dicom-node', id: callingAeTitle, sourceIp: remoteAddress }, object: { type: 'association', id: plain.aeTitle } }),
    onRefusal: ({ problem, callingAeTitle, remoteAddress }) => refused({ service: 'dimse', peer: callingAeTitle, address: remoteAddress, problem }),
  } // prettier-ignore
  const secureServer = tls && (await startSecureDimse(service, tls, log))
  const plainServer = tls?.only ? undefined : await startDimseServer({ ...service, host: plain.host, port: plain.port })
  return {
    port: plainServer?.port ?? secureServer?.port ?? 0,
    tlsPort: secureServer?.port,
    close: async (drainMs: number) => {
      await Promise.all([plainServer?.close({ drainMs }), secureServer?.close({ drainMs })])
    },
  }
}
