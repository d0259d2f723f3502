import { z } from 'zod'
import { EpochMs } from '../identifiers.ts'

/** Bucket for the archives of hospitals, as the platform hands it out. The key travels only sealed for the hospital that it is for. */
export const PlatformS3 = z.object({
  endpoint: z.url({ protocol: /^https?$/ }).max(300),
  region: z.string().trim().min(1).max(60).default('us-east-1'),
  bucket: z.string().regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, '桶名不合法 / not a bucket name'),
  prefix: z.string().regex(/^[\w./-]{0,200}$/).default(''),
  accessKeyId: z.string().trim().min(1).max(200),
  secretAccessKey: z.string().min(1).max(400),
})
export type PlatformS3 = z.infer<typeof PlatformS3>

/** 服务端参数 (AGT-13). What is null the hospital decides by itself. */
export const AgentParameters = z.object({
  /** 每次上传数量: studies on their way at the same time. */
  studiesAtOnce: z.number().int().min(1).max(16).nullable(),
  /** 上传线程数: pieces of images on their way at the same time. */
  uploadThreads: z.number().int().min(1).max(64).nullable(),
  /** S3 存储配置 */
  s3: PlatformS3.nullable(),
})
export type AgentParameters = z.infer<typeof AgentParameters>
export const noParameters: AgentParameters = { studiesAtOnce: null, uploadThreads: null, s3: null }

/** Hub → node: there are others now; the node asks for them over its own line (`parameters.read`). */
export const ParametersChanged = z.object({ version: z.number().int() })
/** Answer to `parameters.read`, sealed for the node that asked. */
export const ParametersTold = z.object({ version: z.number().int(), parameters: AgentParameters })
export type ParametersTold = z.infer<typeof ParametersTold>

/** What pages show: never the secret. */
const ShownS3 = PlatformS3.omit({ secretAccessKey: true }).extend({ hasSecret: z.boolean() })
export const ShownParameters = AgentParameters.extend({ s3: ShownS3.nullable() })
export type ShownParameters = z.infer<typeof ShownParameters>
export const shownParameters = ({ s3, ...parameters }: AgentParameters): ShownParameters => {
  if (s3 === null) return { ...parameters, s3 }
  const { secretAccessKey, ...shown } = s3
  return { ...parameters, s3: { ...shown, hasSecret: secretAccessKey !== '' } }
}

/** GET /api/parameters at the hub: the region's, and those of hospitals that have their own. */
export const ParametersRow = z.object({ scope: z.string(), parameters: ShownParameters, version: z.number().int(), updatedAt: EpochMs, updatedBy: z.string() })
export type ParametersRow = z.infer<typeof ParametersRow>
/** Without a secret the one that is kept stays. */
export const ParametersInput = AgentParameters.extend({ s3: PlatformS3.extend({ secretAccessKey: z.string().max(400).optional() }).nullable() })
export type ParametersInput = z.infer<typeof ParametersInput>

/** GET /api/platform-parameters at a node: what the platform says, what the configuration says, and what counts. */
export const PlatformParametersView = z.object({
  regionName: z.string().nullable(),
  version: z.number().int().nullable(),
  receivedAt: EpochMs.nullable(),
  rows: z.array(z.object({ name: z.enum(['studiesAtOnce', 'uploadThreads']), platform: z.number().nullable(), configured: z.number(), inForce: z.number() })),
  s3: ShownS3.nullable(),
})
export type PlatformParametersView = z.infer<typeof PlatformParametersView>
