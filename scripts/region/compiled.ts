import { randomUUID } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type BuildOptions, type Metafile, type Plugin } from 'esbuild'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const ownWorkspaces = new Set(['specs', 'pki', 'service-kit'])
const KEPT_MS = 14 * 24 * 3_600_000

/** What one build was made of; it is good as long as none of these files has changed. */
interface Build {
  /** Below the cache folder. */
  readonly folder: string
  readonly inputs: Readonly<Record<string, string>>
}

/**
 * The program that begins at a TypeScript file, put into one JavaScript file. By tsx a service of six hundred sources spends three
 * seconds of a processor on loading them, five times for a region; this way it is one. npm packages stay where they are.
 *
 * @param main TypeScript file, relative to the repository.
 * @param cache where builds are kept between starts; it must lie below the repository, where packages are found.
 * @returns absolute path of an ES module with source map, beside it the worker threads that it starts.
 */
export async function compiledProgram(main: string, cache = join(root, '.cache', 'programs')): Promise<string> {
  const place = join(cache, main.replace(/[^\w-]+/g, '_'))
  const record = join(place, 'build.json')
  const last = existsSync(record) ? (JSON.parse(readFileSync(record, 'utf8')) as Build) : undefined
  if (last && isGood(last, place)) {
    utimesSync(join(place, last.folder), new Date(), new Date())
    return join(place, last.folder, 'main.mjs')
  }
  // Several tests may build at the same time: each into a folder of its own, and whoever is last is remembered.
  const folder = randomUUID()
  const inputs = await compile(join(root, main), join(place, folder))
  const text = JSON.stringify({ folder, inputs } satisfies Build)
  writeFileSync(`${record}.${folder}`, text)
  renameSync(`${record}.${folder}`, record)
  forgetOld(place)
  return join(place, folder, 'main.mjs')
}

async function compile(main: string, outdir: string): Promise<Record<string, string>> {
  mkdirSync(outdir, { recursive: true })
  const workers = new Set<string>()
  const options = {
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    outdir,
    outExtension: { '.js': '.mjs' },
    entryNames: '[name]',
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    absWorkingDir: root,
    logLevel: 'error',
    // Worker threads need no tsx when they are JavaScript already.
    define: { 'process.features.typescript': 'true' },
    plugins: [ownSources(workers)],
  } as const satisfies BuildOptions
  const { metafile } = await build({ ...options, entryPoints: { main } })
  const found = [...workers]
  const ofWorkers = found.length > 0 ? (await build({ ...options, entryPoints: found })).metafile : undefined
  return stampsOf(metafile, ofWorkers)
}

/**
 * Our own packages are put in, npm's stay outside. Addresses beside a source (built pages) stay those of the source; only worker
 * threads are started from beside the program.
 */
function ownSources(workers: Set<string>): Plugin {
  return {
    name: 'own-sources',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^[^./]/ }, ({ path, kind }) => {
        if (kind === 'entry-point' || ownWorkspaces.has(path.split('/')[0] ?? '')) return undefined
        return { path, external: true }
      })
      onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8')
        if (!text.includes('import.meta.url')) return undefined
        const contents = text.replace(
          /(new Worker\(new URL\('([^']+)', )?import\.meta\.url/g,
          (all, start: string | undefined, worker: string) => {
            if (start === undefined) return JSON.stringify(pathToFileURL(path).href)
            workers.add(resolve(dirname(path), worker))
            return all
          },
        )
        return { contents, loader: 'ts' }
      })
    },
  }
}

function stampsOf(...metafiles: (Metafile | undefined)[]): Record<string, string> {
  const files = new Set([
    ...metafiles.flatMap((metafile) => Object.keys(metafile?.inputs ?? {})),
    'tsconfig.json',
    relative(root, fileURLToPath(import.meta.url)),
  ])
  return Object.fromEntries([...files].map((file) => [file, stampOf(file) ?? '']))
}

function stampOf(file: string): string | undefined {
  const stat = statSync(join(root, file), { throwIfNoEntry: false })
  return stat && `${stat.size} ${stat.mtimeMs}`
}

function isGood({ folder, inputs }: Build, place: string): boolean {
  return existsSync(join(place, folder, 'main.mjs')) && Object.entries(inputs).every(([file, stamp]) => stampOf(file) === stamp)
}

/** A running process may still start a worker thread from an older build, so only those go that nobody began with for long. */
function forgetOld(place: string): void {
  for (const entry of readdirSync(place, { withFileTypes: true })) {
    const path = join(place, entry.name)
    if (entry.isDirectory() && Date.now() - statSync(path).mtimeMs > KEPT_MS) rmSync(path, { recursive: true, force: true })
  }
}
