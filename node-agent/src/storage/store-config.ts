import { z } from 'zod'
import { StoreId } from 'specs'

const common = { id: StoreId, name: z.string().trim().min(1).max(60) }

/**
 * Stores that whoever runs the machine sets up: folders (a second disk, a mounted NAS), and buckets whose secret is kept outside the database.
 * Buckets can be set up in the pages as well.
 */
export const StoreConfig = z.discriminatedUnion('kind', [
  /** Must exist when the store is set up; afterwards a mark in it says that the right disk is mounted. */
  z.strictObject({ ...common, kind: z.literal('folder'), folder: z.string().min(1) }),
  z.strictObject({
    ...common,
    kind: z.literal('s3'),
    endpoint: z.url({ protocol: /^https?$/ }),
    region: z.string().default('us-east-1'),
    bucket: z.string().min(3).max(63),
    prefix: z.string().default(''),
    /** `https://server/bucket` instead of `https://bucket.server`. */
    pathStyle: z.boolean().default(true),
    accessKeyId: z.string().min(1),
    /** The secret key: a file with nothing else in it, or the name of an environment variable. */
    secretKeyFile: z.string().min(1).optional(),
    secretKeyEnv: z.string().min(1).optional(),
    /** PEM of the authority behind the server's certificate, where it is none that systems know. */
    caFile: z.string().min(1).optional(),
    /** Asks the server to encrypt what it keeps. */
    serverSideEncryption: z.enum(['AES256', 'aws:kms']).optional(),
  }),
])
export type StoreConfig = z.output<typeof StoreConfig>
