import { isProblem, Problem } from 'specs'
import { DatabaseError } from 'service-kit'

const fullCodes = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** `ENOENT` and its like. */
export const codeOf = (error: unknown): string | undefined => (error instanceof Error && 'code' in error ? String(error.code) : undefined)

/** What a failing disk or database means to whoever offers an instance. A Problem stays what it is. */
export function storageProblem(error: unknown): Problem {
  if (isProblem(error)) return error
  if (error instanceof DatabaseError && error.kind === 'full')
    return new Problem('archive/out-of-space', { where: 'index' }, { cause: error })
  const code = codeOf(error)
  if (code !== undefined && fullCodes.has(code)) return new Problem('archive/out-of-space', { where: 'files' }, { cause: error })
  return new Problem('archive/failed', code === undefined ? {} : { code }, { cause: error })
}
