import { describe, expect, it } from 'vitest'
import { checkCompliance, faultsOfDocument } from './compliance.mjs'

const known = {
  hasFile: (path: string) => path === 'hub/src/a.test.ts',
  fileText: () => "it('refuses a stranger', …)",
  scripts: new Set(['audit']),
  rows: new Set(['SEC-08']),
}

describe('evidence in the control lists', () => {
  it('exists in this very repository', () => { // SEC-08
    expect(checkCompliance()).toBe(0)
  })

  it('is named by file, test, command or row, and missed when it is gone', () => { // SEC-08
    expect(faultsOfDocument('`hub/src/a.test.ts`, `hub/src/a.test.ts § refuses a stranger`, `npm run audit -- verify`, SEC-08, `http.tls`', known)).toEqual([])
    expect(faultsOfDocument('`hub/src/b.test.ts`, `hub/src/a.test.ts § lets in`, `npm run nothing`, SEC-99', known)).toEqual([
      'no such file: hub/src/b.test.ts',
      'hub/src/a.test.ts has no test "lets in"',
      'no such command: npm run nothing',
      'no such requirement: SEC-99',
    ])
  })

  it('is given for every control that is said to be met', () => { // SEC-08
    expect(faultsOfDocument('| 8.1.4.1 a | 身份鉴别 | 满足 | 口令与会话 | `hub/src/a.test.ts` |', known)).toEqual([])
    expect(faultsOfDocument('| 8.1.4.1 a | 身份鉴别 | 满足 | 口令与会话 | 无 |', known)).toEqual(['8.1.4.1 a: 满足 without evidence'])
    expect(faultsOfDocument('| 8.1.4.1 a | 身份鉴别 | 大概 | 口令 | |', known)).toEqual([expect.stringContaining('大概')])
  })
})
