// npm start: a whole region with real images on this machine. Installs what is missing, then hands over to region/main.ts.
import { spawn } from 'node:child_process'
import { ensurePackages, requireNode, root } from './run.mjs'

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
// A signal sent to this process alone is passed on (Ctrl-C reaches the whole group by itself); the region ends every
// process in order and decides the exit code.
const region = spawn(process.execPath, ['--import', 'tsx', 'scripts/region/main.ts', ...process.argv.slice(2)], { cwd: root, stdio: 'inherit' })
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => region.kill(signal === 'SIGHUP' ? 'SIGTERM' : signal))
// Without a code a signal has ended it, and that is no success.
region.once('exit', (code) => (process.exitCode = code ?? 1))
region.once('error', (error) => {
  console.error(error.message)
  process.exitCode = 1
})
