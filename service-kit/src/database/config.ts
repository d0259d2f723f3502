import { z } from 'zod'

/** Where a service keeps its rows (ARC-09). */
export const DatabaseConfig = z.discriminatedUnion('dialect', [
  z.object({
    dialect: z.literal('sqlite'),
    /** Path of the database file; its folder is made when missing. WAL keeps two more files beside it. */
    file: z
      .string()
      .min(1)
      .refine((file) => file !== ':memory:', 'a database in memory would not survive a restart'),
  }),
  z.object({
    dialect: z.literal('postgres'),
    /** postgres://user:password@host:port/database */
    url: z.string().regex(/^postgres(?:ql)?:\/\//, 'postgres://user:password@host:port/database'),
    /** Several services may share one database, each in its own schema. */
    schema: z
      .string()
      .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'lower-case letters, digits and _')
      .optional(),
    /** Connections held at most. */
    poolSize: z.number().int().min(2).max(100).default(10),
  }),
])
export type DatabaseConfig = z.input<typeof DatabaseConfig>
