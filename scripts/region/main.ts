import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { loadConfig } from 'service-kit'
import { sendDemoStudies } from './demo-data.ts'
import { RegionPlan, takenPorts } from './plan.ts'
import { Region } from './region.ts'
import type { ServiceProcess } from './service-process.ts'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const say = (sentence: string) => process.stdout.write(`  ${sentence}\n`)

const { values } = parseArgs({
  options: {
    fresh: { type: 'boolean', default: false },
    dir: { type: 'string', default: join(root, '.run') },
    config: { type: 'string', default: join(root, 'region.config.jsonc') },
    'no-demo-data': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

if (values.help) {
  process.stdout.write('npm start [-- --fresh] [-- --dir FOLDER] [-- --config FILE] [-- --no-demo-data]\n')
  process.exit(0)
}

const plan = loadConfig(RegionPlan, { file: values.config, prefix: 'LIANPIAN_REGION_' })
const taken = await takenPorts(plan)
if (taken.length > 0) {
  for (const { name, port } of taken) process.stderr.write(`端口 ${port} 已被占用：${name}。 Port ${port} is taken.\n`)
  process.stderr.write(`区域可能已在运行；否则请在 region.config.jsonc 中换一个端口。 Perhaps the region is running; otherwise choose another port.\n`)
  process.exit(1)
}
if (values.fresh) Region.erase(values.dir)

const region = new Region(plan, { dir: values.dir, say })
let stopping = false
async function stop(code: number): Promise<void> {
  if (stopping) return
  stopping = true
  say('正在停止所有进程 Stopping every process …')
  await region.stop()
  process.exit(code)
}
process.on('SIGINT', () => void stop(0))
process.on('SIGTERM', () => void stop(0))
// A closed terminal tells everybody at once, and nats-server would only read its settings again.
process.on('SIGHUP', () => void stop(0))

try {
  const started = Date.now()
  await region.start()
  for (const service of [region.hub, ...region.nodes.values()]) keepRunning(service)
  if (!values['no-demo-data']) await sendDemoStudies(region, say)
  writePids()
  printGuide(Date.now() - started)
} catch (error) {
  if (!stopping) process.stderr.write(`\n${error instanceof Error ? error.message : String(error)}\n`)
  await stop(1)
}

/** A service that dies is told and started again, a little later each time. */
function keepRunning(service: ServiceProcess, attempt = 0): void {
  service.onUnexpectedEnd = (code) => {
    if (stopping) return
    say(`${service.settings.name} 意外退出 ended unexpectedly (${code}); ${service.settings.logFile}`)
    void sleep(Math.min(30_000, 500 * 2 ** attempt)).then(async () => {
      if (stopping) return
      try {
        await service.start()
        writePids()
        say(`${service.settings.name} 已重新启动 is running again`)
        keepRunning(service, 0)
      } catch (error) {
        say(error instanceof Error ? error.message : String(error))
        if (!stopping) keepRunning(service, attempt + 1)
      }
    })
  }
}

/** For whoever wants to kill one of them and watch. */
function writePids(): void {
  const pids = Object.fromEntries([['nats', region.natsPid], ['hub', region.hub.pid], ...[...region.nodes].map(([id, node]) => [id, node.pid])])
  writeFileSync(join(values.dir, 'pids.json'), `${JSON.stringify(pids, undefined, 2)}\n`)
}

function printGuide(milliseconds: number): void {
  const { hub, hospitals } = region.file
  const password = existsSync(join(values.dir, 'password')) ? readFileSync(join(values.dir, 'password'), 'utf8').trim() : ''
  const lines = [
    '',
    `联片 Lianpian 区域已就绪 the region is ready (${(milliseconds / 1000).toFixed(1)} s)`,
    '',
    `  区域控制台 console   ${hub.consoleUrl}   ${hub.accounts.map(({ username }) => username).join(' / ')}`,
    ...hospitals.map(({ name, url, dicom, accounts }) => `  ${name}   ${url}/desk/   ${accounts.map(({ username }) => username).join(' / ')}   DICOM ${dicom.aeTitle}@${dicom.host}:${dicom.port}`),
    '',
    `  所有演示账号的密码 password of all demo accounts: ${password}`,
    `  接口与账号 addresses and accounts for scripts: ${join(values.dir, 'region.json')}`,
    '',
    '  五分钟体验：以 wang 登录云溪县人民医院 → 检查“张*兰”点“会诊” → 以 chen 登录澄江省立医院接收、阅片、签署 → 回到云溪查看意见',
    '  按 Ctrl-C 停止全部进程；npm start -- --fresh 从头开始。  Ctrl-C ends every process.',
    '',
  ]
  process.stdout.write(lines.join('\n'))
}
