// npm run check: types (server and pages), lint with the import direction, and Deno's type check of the server sources.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { checkCompliance } from './compliance.mjs'
import { ensurePackages, requireNode, root, run, runNode } from './run.mjs'
import { checkSupply } from './supply/main.mjs'

export const checks = [
  { name: 'types: servers', call: () => runNode(['node_modules/typescript/bin/tsc', '-p', '.']) },
  { name: 'types: browser tests', call: () => runNode(['node_modules/typescript/bin/tsc', '-p', 'tests/tsconfig.browser.json']) },
  ...['viewer', 'regional-console', 'node-agent/desk', 'page-kit'].map((page) => ({
    name: `types: ${page}`,
    call: () => runNode(['node_modules/vue-tsc/bin/vue-tsc.js', '--noEmit', '-p', page]),
  })),
  { name: 'lint', call: () => runNode(['node_modules/eslint/bin/eslint.js', '.', '--max-warnings', '0', '--cache', '--cache-location', '.cache/eslint']) },
  { name: 'supply: known holes, licences, integrity, install scripts, SBOM', call: checkSupply },
  { name: 'compliance: evidence that is named exists', call: () => Promise.resolve(checkCompliance()) },
  {
    name: 'deno check',
    call: () => run(join(root, 'node_modules', '.bin', 'deno'), ['check', '--quiet', 'specs/src/index.ts', 'pki/src/index.ts', 'service-kit/src/index.ts', 'hub/src/main.ts', 'node-agent/src/main.ts'], { env: { ...process.env, DENO_NO_UPDATE_CHECK: '1' } }),
  },
]

/** @returns {Promise<{ name: string, ok: boolean }[]>} */
export async function runChecks() {
  const results = []
  for (const { name, call } of checks) {
    const started = Date.now()
    const ok = (await call()) === 0
    console.log(`${ok ? '✓' : '✗'} ${name} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
    results.push({ name, ok })
  }
  return results
}

if (process.argv[1] && import.meta.filename === process.argv[1] && existsSync(process.argv[1])) {
  requireNode()
  await ensurePackages()
  const results = await runChecks()
  process.exitCode = results.every(({ ok }) => ok) ? 0 : 1
}
