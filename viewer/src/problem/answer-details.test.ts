import { describe, expect, it } from 'vitest'
import { detailsOfAnswer } from './answer-details.ts'

describe('what a failed answer says', () => {
  it('keeps code, Chinese wording and facts of problem details, also when they arrive as bytes', () => {
    const body = new TextEncoder().encode(
      JSON.stringify({ code: 'access/grant-expired', title: '授权已过期', titleEn: 'expired', facts: { until: 5 } }),
    )
    const problem = detailsOfAnswer(403, body.buffer)
    expect(problem).toMatchObject({ code: 'access/grant-expired', title: '授权已过期', status: 403, facts: { until: 5 } })
  })

  it('words a known code itself when the answer does not', () => {
    expect(detailsOfAnswer(503, { code: 'region/hospital-offline' }).title).toBe('对方医院当前离线')
  })

  it('calls a missing answer a network problem and never shows a proxy page', () => {
    expect(detailsOfAnswer(0, undefined).code).toBe('network/unreachable')
    expect(detailsOfAnswer(503, '<html>Bad gateway</html>').title).toBe('服务暂不可用')
    expect(detailsOfAnswer(418, '').code).toBe('http/418')
  })
})
