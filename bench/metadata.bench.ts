import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BenchResult } from './run.ts'
import { download, settled, startNode, startOrthanc, type ImageServer } from './support/image-servers.ts'
import { makeInstances } from './support/instances.ts'
import { median, quantile } from './support/rounds.ts'
import { sendByStorescu } from './support/senders.ts'
import { studyOf } from './wado.bench.ts'

const instances = 500
const rounds = 9

/**
 * What a viewer asks before it shows anything: the metadata of a series of 500 slices, the first frame of the series, and any other frame. A node (with its
 * rights, masks and trail) and Orthanc, in turns, read by curl. "First asked" is the first request after all images have come.
 */
export async function run(): Promise<BenchResult> {
  const folder = mkdtempSync(join(tmpdir(), 'lianpian-bench-'))
  const servers: ImageServer[] = []
  try {
    const groups = makeInstances(join(folder, 'files'), { count: instances, associations: 8 })
    const study = await studyOf(join(groups[0]!, readdirSync(groups[0]!)[0]!))
    servers.push(await startNode(join(folder, 'node')), await startOrthanc(join(folder, 'orthanc')))
    const rows: BenchResult['rows'] = []
    const told = new Map<string, number>()
    for (const server of servers) {
      await sendByStorescu(groups, { port: server.dicomPort, aeTitle: server.aeTitle })
      await settled(server, study, instances)
    }
    const [series = ''] = await uids(servers[0]!, `/studies/${study}/series`, '0020000E')
    const images = await uids(servers[0]!, `/studies/${study}/instances?limit=1000`, '00080018')
    const asks = {
      'metadata, first asked': { times: 1, of: () => ({ path: `/studies/${study}/series/${series}/metadata`, accept: 'application/dicom+json' }) },
      metadata: { times: rounds, of: () => ({ path: `/studies/${study}/series/${series}/metadata`, accept: 'application/dicom+json' }) },
      'metadata, gzip': { times: rounds, of: () => ({ path: `/studies/${study}/series/${series}/metadata`, accept: 'application/dicom+json', 'accept-encoding': 'gzip' }) },
      'first frame of the series': { times: rounds * 3, of: () => frame(images[0]!) },
      'any frame': { times: rounds * 3, of: () => frame(images[Math.floor(Math.random() * images.length)]!) },
    }
    function frame(image: string) {
      return { path: `/studies/${study}/series/${series}/instances/${image}/frames/1`, accept: 'multipart/related; type="application/octet-stream"; transfer-syntax=*' }
    }
    for (const [what, { times, of }] of Object.entries(asks)) {
      const taken = new Map<string, number[]>(servers.map(({ name }) => [name, []]))
      let bytes = 0
      for (let time = 0; time < times; time += 1)
        for (const server of time % 2 === 0 ? servers : [...servers].reverse()) {
          const { path, ...headers } = of()
          const figure = await download(server.url + path, { ...server.headers, ...headers })
          taken.get(server.name)!.push(figure.seconds * 1_000)
          if (server === servers[0]) bytes = figure.bytes
        }
      for (const { name } of servers) told.set(`${what} ${name}`, median(taken.get(name)!))
      const p = (name: string) => `${median(taken.get(name)!).toFixed(1)} (p95 ${quantile(taken.get(name)!, 0.95).toFixed(1)})`
      rows.push({ what, 'Lianpian ms': p('Lianpian'), 'Orthanc ms': p('Orthanc'), 'times faster': (told.get(`${what} Orthanc`)! / told.get(`${what} Lianpian`)!).toFixed(1), 'our bytes': bytes })
    }
    return { name: `Metadata and first frames of a series of ${instances} × 512 KB CT (goal for metadata: 10 times faster)`, rows }
  } finally {
    for (const server of servers.reverse()) await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function uids({ url, headers }: ImageServer, path: string, tag: string): Promise<string[]> {
  const answer = await fetch(url + path, { headers: { ...headers, accept: 'application/dicom+json' } })
  return ((await answer.json()) as Record<string, { Value?: string[] }>[]).map((each) => each[tag]?.Value?.[0] ?? '')
}
