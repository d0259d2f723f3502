// npm test: installs the peers that tests meet, checks types and lint, builds the pages, runs every test.
// The last line is `N passed, N failed`.
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensurePackages, ensureSystemPackages, requireNode, root, runNode } from './run.mjs'

const wanted = process.argv.slice(2)
requireNode()
await ensurePackages()

const peers = {
  programs: ['storescu', 'storescp', 'echoscu', 'findscu', 'dcmdump', 'dsrdump', 'dciodvfy', 'dcmj2pnm', 'gdcmconv', 'chromium', 'openssl', 'nats-server', 'Orthanc', 'initdb', 'pdftotext', 'ip', 'nft', 'rsyslogd', 'xmllint'],
}
await ensurePeers()
const { buildPages } = await import('./build-pages.mjs')
const { runChecks } = await import('./check.mjs')
const { unpackFixtures } = await import('./fixtures.mjs')
unpackFixtures()
const { ensureOhif } = await import('./ohif.mjs')
await ensureOhif()

const results = wanted.length > 0 ? [] : await runChecks()
results.push({ name: 'pages are built', ok: await buildPages() })

const report = join(root, '.cache', 'test-report.json')
mkdirSync(join(root, '.cache'), { recursive: true })
rmSync(report, { force: true })
// Half an hour is what a run may take on two cores; the longest stories have a command of their own.
const projects = wanted.length > 0 ? [] : ['unit', 'interop', 'security', 'scenarios'].map((name) => `--project=${name}`)
const code = await runNode(['node_modules/vitest/vitest.mjs', 'run', ...projects, '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...wanted])

let passed = results.filter(({ ok }) => ok).length
let failed = results.length - passed
if (existsSync(report)) {
  const { numPassedTests, numFailedTests, numPendingTests, numTotalTestSuites, numFailedTestSuites, testResults } = JSON.parse(readFileSync(report, 'utf8'))
  passed += numPassedTests
  // A file that cannot even be loaded has no test to count; a skipped test is a peer that was not met.
  const broken = testResults.filter(({ status, assertionResults }) => status === 'failed' && assertionResults.every((test) => test.status !== 'failed')).length
  failed += numFailedTests + numPendingTests + broken
  console.log(`${numTotalTestSuites} suites, ${numFailedTestSuites} with failures, ${numPendingTests} skipped (counted as failed)`)
} else failed += 1
if (code !== 0 && failed === 0) failed = 1
if (wanted.length === 0) console.log('耐久测试未在此运行 Endurance tests were not part of this run: npm run test:endurance')
for (const { name, ok } of results) if (!ok) console.log(`failed: ${name}`)
console.log(`${passed} passed, ${failed} failed`)
process.exit(failed === 0 ? 0 : 1)

async function ensurePeers() {
  // PostgreSQL keeps its server programs outside PATH.
  const versions = ['18', '17', '16', '15', '14', '13']
  process.env.PATH = [process.env.PATH, ...versions.map((version) => `/usr/lib/postgresql/${version}/bin`), '/usr/sbin'].join(':')
  await ensureSystemPackages({
    programs: peers.programs,
    files: ['/usr/share/orthanc/plugins/libOrthancDicomWeb.so'],
    apt: ['dcmtk', 'dicom3tools', 'libgdcm-tools', 'orthanc', 'orthanc-dicomweb', 'chromium', 'postgresql', 'openssl', 'nats-server', 'python3-pydicom', 'iproute2', 'nftables', 'fonts-noto-cjk', 'poppler-utils', 'rsyslog', 'libxml2-utils'],
  })
}
