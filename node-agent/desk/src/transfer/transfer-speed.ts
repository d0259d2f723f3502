import type { TransferRow } from 'specs'

/** Average of the transfer so far in bytes per second; undefined before anything measurable happened. */
export function bytesPerSecond(transfer: Pick<TransferRow, 'bytesDone' | 'startedAt' | 'updatedAt'>): number | undefined {
  const seconds = (transfer.updatedAt - transfer.startedAt) / 1000
  return transfer.bytesDone > 0 && seconds > 0 ? transfer.bytesDone / seconds : undefined
}

export function percentOf(transfer: Pick<TransferRow, 'bytesDone' | 'bytesTotal' | 'state'>): number {
  if (transfer.state === 'complete') return 100
  return transfer.bytesTotal === 0 ? 0 : Math.min(99, Math.floor((transfer.bytesDone / transfer.bytesTotal) * 100))
}
