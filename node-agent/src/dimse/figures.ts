import { type Metrics } from 'service-kit'

/** What the DIMSE service counts, for /metrics. */
export function createFigures(metrics: Metrics) {
  return {
    open: metrics.gauge('lianpian_dimse_open_associations', 'Associations open now'),
    associations: metrics.counter('lianpian_dimse_associations_total', 'Associations asked for, by outcome', ['outcome']),
    refusals: metrics.counter('lianpian_dimse_refusals_total', 'Refused associations, connections and objects, by problem code', ['code']),
    stored: metrics.counter('lianpian_dimse_stored_total', 'C-STORE requests answered, by status (hex)', ['status']),
    receivedBytes: metrics.counter('lianpian_dimse_received_bytes_total', 'Bytes of commands and data sets received'),
  }
}
export type DimseFigures = ReturnType<typeof createFigures>
