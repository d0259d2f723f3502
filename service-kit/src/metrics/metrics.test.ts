import { describe, expect, it } from 'vitest'
import { createMetrics } from './index.ts'

describe('the figures of a process', () => {
  it('are one and the same for parts that ask for the same name', async () => {
    const metrics = createMetrics()
    metrics.counter('lianpian_refusals_total', 'Refused envelopes', ['code']).inc({ code: 'envelope/expired' })
    metrics.counter('lianpian_refusals_total', 'Refused envelopes', ['code']).inc({ code: 'envelope/expired' })
    metrics.gauge('lianpian_pending', 'Waiting messages').set(3)
    metrics.histogram('lianpian_store_seconds', 'C-STORE').observe(0.02)
    const text = await metrics.registry.metrics()
    expect(text).toContain('lianpian_refusals_total{code="envelope/expired"} 2')
    expect(text).toContain('lianpian_pending 3')
    expect(text).toContain('lianpian_store_seconds_count 1')
    expect(text).toContain('process_cpu_seconds_total')
  })

  it('do not take one name for two kinds', () => {
    const metrics = createMetrics()
    metrics.gauge('lianpian_pending', 'x')
    expect(() => metrics.counter('lianpian_pending', 'x')).toThrow('another kind')
  })
})
