// npm start: a whole region with real images on this machine. Installs what is missing, then hands over to region/main.ts.
import { ensurePackages, requireNode, runNode } from './run.mjs'

requireNode()
try {
  await ensurePackages()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exit(1)
}
const { buildPages } = await import('./build-pages.mjs')
if (!(await buildPages())) {
  console.error('页面构建失败，见上方输出。 The pages could not be built, see above.')
  process.exit(1)
}
// Ctrl-C reaches the child too; it ends every process in order and decides the exit code.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
process.exit(await runNode(['--import', 'tsx', 'scripts/region/main.ts', ...process.argv.slice(2)]))
