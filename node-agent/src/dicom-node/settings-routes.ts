import type { HttpFace } from 'service-kit'
import { DicomService, DicomSettingsChange, DicomSettings } from 'specs'
import type { DicomSettingsBook } from './dicom-settings.ts'

/** How the ports listen, as soon as they do. */
export interface ListeningDicom {
  readonly port: number
  readonly tlsPort: number | undefined
  readonly openAssociations: number
}

/** The DICOM service as administrators see and change it, without a restart (ARC-05). */
export function addDicomSettingsRoutes(
  face: HttpFace,
  { settings, configured, aeTitle, listening }: { settings: DicomSettingsBook; configured: DicomSettings; aeTitle: string; listening: () => ListeningDicom | undefined },
): void {
  face.route(
    { method: 'GET', path: '/api/dicom-settings', summary: 'DICOM 服务参数 / How the DICOM ports behave', allow: ['system.configure', 'device.watch', 'system.monitor'], answer: DicomService },
    () => {
      const now = listening()
      return { settings: settings.current, configured, aeTitle, port: now?.port ?? 0, tlsPort: now?.tlsPort ?? null, openAssociations: now?.openAssociations ?? 0 }
    },
  )
  face.route(
    { method: 'PUT', path: '/api/dicom-settings', summary: 'Change how the DICOM ports behave, from the next association on', allow: ['system.configure'], body: DicomSettingsChange, answer: DicomSettings },
    ({ user, body }) => settings.change(user, body),
  )
}
