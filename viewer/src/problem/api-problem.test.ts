import { describe, expect, it } from 'vitest'
import { problemFromAnswer } from './api-problem.ts'

describe('what a failed answer says', () => {
  it('keeps code, Chinese wording and facts of problem details, also when they arrive as bytes', () => {
    const body = new TextEncoder().encode(JSON.stringify({ code: 'consult/held', title: '该会诊已被他人接收', titleEn: 'held', facts: { by: { name: '李医生' } } }))
    const problem = problemFromAnswer(409, body.buffer)
    expect([problem.code, problem.zh, problem.status]).toEqual(['consult/held', '该会诊已被他人接收', 409])
    expect(problem.facts).toEqual({ by: { name: '李医生' } })
  })

  it('calls a missing answer a network problem and never shows a proxy page', () => {
    expect(problemFromAnswer(0, undefined).code).toBe('network/unreachable')
    expect(problemFromAnswer(503, '<html>Bad gateway</html>').zh).toBe('服务暂不可用')
    expect(problemFromAnswer(418, '').code).toBe('http/418')
  })
})
