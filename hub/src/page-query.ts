import { z } from 'zod'

/** A form that leaves a field empty sends it as `state=`; that means: not filtered. */
export const optionalFilter = <S extends z.ZodType>(schema: S) =>
  z.preprocess((value) => (value === '' ? undefined : value), schema.optional())

/** `after` is `next` of the page before. */
export const PageQuery = z.object({
  limit: z.coerce.number().int().min(1).max(500).default(50),
  after: optionalFilter(z.string().max(100)),
})
