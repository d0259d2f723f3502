import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

/** Figures of one process for Prometheus. Asking twice for one name gives the same metric, so that parts need not know of each other. */
export interface Metrics {
  readonly registry: Registry
  /** Only grows; the name ends in `_total`. Label values must be few: a code, a kind, never an id or a person. */
  counter(name: string, help: string, labelNames?: readonly string[]): Counter
  gauge(name: string, help: string, labelNames?: readonly string[]): Gauge
  /** The name ends in its unit, `_seconds` or `_bytes`. */
  histogram(name: string, help: string, labelNames?: readonly string[], buckets?: readonly number[]): Histogram
}

const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })

  function once<M extends Counter | Gauge | Histogram>(kind: new (...args: never[]) => M, name: string, make: () => M): M {
    const known = registry.getSingleMetric(name)
    if (known === undefined) return make()
    if (known instanceof kind) return known
    throw new Error(`the metric ${name} exists already and is of another kind`)
  }
  const registers = [registry]
  return {
    registry,
    counter: (name, help, labelNames = []) =>
      once(Counter, name, () => new Counter({ name, help, labelNames: [...labelNames], registers })),
    gauge: (name, help, labelNames = []) => once(Gauge, name, () => new Gauge({ name, help, labelNames: [...labelNames], registers })),
    histogram: (name, help, labelNames = [], buckets = SECONDS) =>
      once(Histogram, name, () => new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers })),
  }
}
