import { describe, expect, it } from 'vitest'
import { createLog, type LogLevel } from './index.ts'

function aLog(level?: LogLevel) {
  const lines: string[] = []
  return { log: createLog({ name: 'node-agent', level }, { write: (line) => lines.push(line) }), lines }
}

describe('the log', () => {
  it('writes one line of JSON per event, with name, level and time', () => {
    const { log, lines } = aLog()
    log.info({ studyInstanceUid: '1.2' }, 'stored')
    expect(lines).toHaveLength(1)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      name: 'node-agent',
      msg: 'stored',
      studyInstanceUid: '1.2',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    })
  })

  it('shows no patient and no secret, however deep they came in', () => {
    // SEC-11
    const { log, lines } = aLog()
    log.info(
      {
        patientName: '张三',
        exam: { patientId: 'P1' },
        a: { b: { password: 'p1', token: 't1' } },
        headers: { authorization: 'Bearer x1' },
      },
      'event',
    )
    log.child({ clinicalHistory: '咳嗽' }).warn({ body: { question: '结节?', findings: '右肺' } }, 'event')
    expect(lines.join('')).not.toMatch(/张三|P1|p1|t1|x1|咳嗽|结节|右肺/)
    expect(lines[0]).toContain('[hidden]')
  })

  it('tells why an error happened', () => {
    const { log, lines } = aLog()
    log.error({ err: new Error('transfer failed', { cause: new Error('line broke') }) }, 'oops')
    expect(lines[0]).toMatch(/transfer failed.*line broke/)
  })

  it('is quiet below its level', () => {
    const { log, lines } = aLog('warn')
    log.info('no')
    log.warn('yes')
    expect(lines).toHaveLength(1)
  })
})
