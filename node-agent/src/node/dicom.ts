import type { Outbound, Trail } from 'service-kit'
import type { LiveEvent } from 'specs'
import { storageFor } from '../access/device-storage.ts'
import { queryFor, retrieveFor } from '../access/dicom-services.ts'
import type { AccessControl } from '../access/access-control.ts'
import type { ExamRegister } from '../access/register-facts.ts'
import type { Commitments } from '../commitment/commitments.ts'
import { DicomPorts } from '../dicom-node/dicom-ports.ts'
import { nodeToSendTo, regionOfCaller } from '../dicom-node/store.ts'
import { peerGate } from '../dicom-node/peer-gate.ts'
import { chooseSyntax, transcode } from '../dicom/transcode/transcode.ts'
import { AssociationSlots } from '../dimse/association-slots.ts'
import { createFigures } from '../dimse/figures.ts'
import { getService } from '../dimse/c-get.ts'
import { moveService } from '../dimse/c-move.ts'
import { startSecureDimse } from '../dimse/secure-service.ts'
import { startDimseServer, type DimseServerOptions } from '../dimse/server.ts'
import type { TellRefusal } from '../refusal/edge.ts'
import { worklistService } from '../worklist/find-worklist.ts'
import { PerformedSteps } from '../worklist/performed-steps.ts'
import type { Devices } from './devices.ts'
import type { Ground } from './ground.ts'

export interface DicomParts {
  readonly audit: Trail
  readonly access: AccessControl
  readonly register: ExamRegister
  readonly refused: TellRefusal
  readonly outbound: Outbound
  readonly devices: Devices
  readonly commitments: Commitments
  readonly announce: (event: LiveEvent) => void
}

/** The node's DICOM ports: the plain one, the one with TLS, or both, and those of receiving nodes. @throws An Error for the administrator when a port is taken. */
export async function startDicom(ground: Ground, { audit, access, register, refused, outbound, devices, commitments, announce }: DicomParts) {
  const { settings, db, log, metrics, joined, hospitalId, inHospital, regional, codecs } = ground
  const { callers, settings: now } = devices
  const rightsOf = (aeTitle: string) => callers.rightsOf(aeTitle)
  // With one region there is nothing to choose, and no question to the database for every image.
  const regionOf = async (aeTitle: string) => (joined.count > 1 ? regionOfCaller(db, aeTitle) : undefined)
  const ports: DicomPorts = new DicomPorts({
    db, log,
    host: settings.dimse.host,
    start: (port) => startDimseServer({ ...service, ...port, setting: 'receiving-nodes' }),
    admit: (node, aeTitle) => callers.termsOf(aeTitle, node),
  }) // prettier-ignore
  const services = {
    access, register, inHospital, regional, rightsOf, regionOf,
    placeOf: (aeTitle: string) => devices.placeOf(aeTitle),
    receiving: (aeTitle: string) => ports.nodes.find((node) => node.aeTitle === aeTitle),
  } // prettier-ignore
  const { tls, ...plain } = settings.dimse
  const source = retrieveFor(services, (file, syntax) => transcode(file, syntax, { codecs, turn: { lane: 'dimse' } }))
  const move = moveService({
    source, log,
    destinationOf: (aeTitle, { remoteAddress }) => nodeToSendTo(db, aeTitle, remoteAddress),
    sending: { callingAeTitle: plain.aeTitle, addressOf: peerGate({ outbound, keyFolder: ground.keyFolder }) },
    onMoved: ({ caller, destinationAeTitle, studyInstanceUid, sent, failed }) =>
      audit.note({
        action: 'transfer.send',
        outcome: failed > 0 ? 'failed' : 'success',
        actor: { kind: 'dicom-node', id: caller.callingAeTitle, sourceIp: caller.remoteAddress },
        object: { type: 'study', id: studyInstanceUid, owner: hospitalId },
        facts: { source: hospitalId, destination: destinationAeTitle, mode: 'c-move', instances: sent, instancesFailed: failed },
      }),
  }) // prettier-ignore
  const slots = new AssociationSlots(createFigures(metrics))
  const deviceOf = (aeTitle: string) => callers.worklistDevice(aeTitle)
  const service: Omit<DimseServerOptions, 'host' | 'port'> = {
    log, metrics,
    aeTitle: plain.aeTitle,
    slots,
    behaviour: () => ({ ...now.behaviour, otherAeTitles: ports.nodes.filter(({ enabled }) => enabled).map(({ aeTitle }) => aeTitle) }),
    isAllowed: (aeTitle, _remoteAddress, calledAeTitle) => callers.termsOf(aeTitle, ports.called(calledAeTitle)),
    storage: storageFor(services),
    query: queryFor(services),
    services: [
      move,
      getService({ source, log, chooseSyntax }),
      commitments.service,
      worklistService({ db, access, hospitalId, deviceOf, maxMatches: () => now.current.maxMatches }),
      new PerformedSteps({ db, log, audit, access, hospitalId, deviceOf, announce }),
    ],
    onAccepted: ({ callingAeTitle, remoteAddress }) =>
      audit.note({ action: 'dicom.association', outcome: 'success', actor: { kind: 'dicom-node', id: callingAeTitle, sourceIp: remoteAddress }, object: { type: 'association', id: plain.aeTitle } }),
    onListening: (state) =>
      audit.note({ action: state === 'lost' ? 'system.fault' : 'system.recovery', outcome: state === 'lost' ? 'failed' : 'success', actor: { kind: 'system', id: hospitalId }, object: { type: 'component', id: 'dimse' } }),
    onRefusal: ({ problem, callingAeTitle, remoteAddress }) => refused({ service: 'dimse', peer: callingAeTitle, address: remoteAddress, problem }),
  } // prettier-ignore
  const secureServer = tls && (await startSecureDimse(service, tls, log))
  const plainServer = tls?.only ? undefined : await startDimseServer({ ...service, host: plain.host, port: plain.port })
  await ports.start()
  const listening = {
    port: plainServer?.port ?? secureServer?.port ?? 0,
    tlsPort: secureServer?.port,
    get openAssociations() {
      return slots.open
    },
  }
  Object.assign(devices.later, { ports, listening })
  return {
    ...listening,
    close: async (drainMs: number) => {
      await Promise.all([ports.stop(drainMs), plainServer?.close({ drainMs }), secureServer?.close({ drainMs })])
      await now.stop()
    },
  }
}
