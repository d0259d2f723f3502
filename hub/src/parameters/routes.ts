import type { HttpFace, Link } from 'service-kit'
import { HospitalId, parseHospitalId, ParametersInput, ParametersRow, Problem, services } from 'specs'
import { z } from 'zod'
import type { Parameters } from './service.ts'

const params = z.object({ scope: z.union([z.literal('region'), HospitalId]) })
const administrators = ['region.manage'] as const

/** 服务端参数 for people. */
export function parametersRoutes(face: HttpFace, parameters: Parameters): void {
  face.route({ method: 'GET', path: '/api/parameters', summary: '服务端参数 / Parameters of agents: the region’s, and of hospitals with their own', allow: administrators, answer: z.array(ParametersRow) }, () => parameters.list())
  face.route({ method: 'PUT', path: '/api/parameters/:scope', summary: 'Set the parameters of the region or of a hospital', allow: administrators, params, body: ParametersInput, answer: ParametersRow }, ({ params: { scope }, body, user }) => {
    if (body.s3 && !body.s3.secretAccessKey && body.s3.secretAccessKey !== undefined) throw new Problem('request/invalid', { what: 's3.secretAccessKey' })
    return parameters.set(scope, body, user.name)
  })
  face.route({ method: 'DELETE', path: '/api/parameters/:scope', summary: 'Let a hospital follow the region again, or each its own configuration', allow: administrators, params }, async ({ params: { scope } }) => {
    await parameters.remove(scope)
    return { status: 204 }
  })
}

/** For nodes, over their own line: who asks, the envelope has shown; the answer is sealed for that hospital. */
export function serveParameters(link: Pick<Link, 'serve'>, parameters: Parameters): void {
  link.serve(services.parametersRead, ({ from }) => parameters.of(parseHospitalId(from)))
}
