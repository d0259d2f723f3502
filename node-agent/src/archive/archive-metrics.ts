import type { Metrics } from 'service-kit'
import type { ArchiveName, IncomingSource, StoreOutcome } from './archive.ts'

export interface ArchiveMetrics {
  stored(archive: ArchiveName, outcome: StoreOutcome['kind'], source: IncomingSource['kind'], sizeBytes: number): void
}

export function archiveMetrics(metrics: Metrics): ArchiveMetrics {
  const instances = metrics.counter('lianpian_archive_instances_total', 'Instances offered to an archive and durable in it, by outcome.', [
    'archive',
    'outcome',
    'source',
  ])
  const bytes = metrics.counter('lianpian_archive_bytes_total', 'Bytes written into an archive.', ['archive', 'source'])
  return {
    stored(archive, outcome, source, sizeBytes) {
      instances.inc({ archive, outcome, source })
      if (outcome !== 'duplicate') bytes.inc({ archive, source }, sizeBytes)
    },
  }
}
