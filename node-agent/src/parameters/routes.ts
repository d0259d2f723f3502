import type { HttpFace } from 'service-kit'
import { PlatformParametersView } from 'specs'
import type { PlatformParameters } from './platform-parameters.ts'

/** 来自平台的参数, beside the own configuration and what counts. */
export function addParametersRoutes(face: HttpFace, parameters: PlatformParameters): void {
  face.route({ method: 'GET', path: '/api/platform-parameters', summary: '来自平台的参数 / Parameters of the platform', allow: ['system.configure', 'system.monitor'], answer: PlatformParametersView }, () => parameters.view())
}
