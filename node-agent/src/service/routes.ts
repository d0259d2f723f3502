import type { HttpFace } from 'service-kit'
import { ImageService, ImageServiceChange, ImageServiceRow } from 'specs'
import { z } from 'zod'
import type { ServiceSwitches } from './switches.ts'

/** @param onSwitched looks at once at what has become of the service, so that the record of it has the right time. */
export function addServiceRoutes(face: HttpFace, { switches, onSwitched }: { switches: ServiceSwitches; onSwitched: () => Promise<void> }): void {
  for (const service of ImageService.options) face.check(service, () => switches.check(service), { critical: false })
  face.route(
    { method: 'GET', path: '/api/services', summary: 'Image services, and which of them are switched off', allow: ['system.configure', 'system.monitor'], answer: z.array(ImageServiceRow) },
    () => switches.list(),
  )
  face.route(
    {
      method: 'PUT',
      path: '/api/services/:service',
      summary: 'Switch an image service off for everybody, or on again',
      allow: ['system.configure'],
      params: z.object({ service: ImageService }),
      body: ImageServiceChange,
      answer: z.array(ImageServiceRow),
    },
    async ({ user, params: { service }, body }) => {
      const rows = await switches.set(user, service, body)
      await onSwitched()
      return rows
    },
  )
}
