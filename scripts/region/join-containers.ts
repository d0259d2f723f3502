import process from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadConfig } from 'service-kit'
import { ApiUser } from './api.ts'
import { registerDicomPeers } from './dicom-peers.ts'
import { joinHospital } from './join-hospital.ts'
import { RegionPlan } from './plan.ts'

/**
 * Service `join` of docker-compose.yml: registers the hospitals of region.config.jsonc at the hub, joins them,
 * and lets the plan's DICOM peers in.
 * Inside the network every node answers at http://<hospital id>:8420 and the hub at http://hub:8400.
 */
const hubUrl = 'http://hub:8400'
const password = process.env['LIANPIAN_DEMO_PASSWORD']
if (!password) throw new Error('LIANPIAN_DEMO_PASSWORD is not set')

const plan = loadConfig(RegionPlan, { file: 'region.config.jsonc', prefix: 'LIANPIAN_REGION_' })
const hubAdmin = await patiently(() => ApiUser.signIn(hubUrl, 'region', password))
for (const { id, name, code, kinds, taskTypes, flowModes } of plan.hospitals) {
  const nodeUrl = `http://${id}:8420`
  const nodeAdmin = await patiently(() => ApiUser.signIn(nodeUrl, 'admin', password))
  const joined = await joinHospital(hubAdmin, nodeAdmin, { id, name, code, kinds, taskTypes, flowModes, agentAddress: nodeUrl }, hubUrl)
  await registerDicomPeers(nodeAdmin, plan)
  process.stdout.write(`${id}: ${joined ? 'joined' : 'had joined'}\n`)
}

/** Containers come up in their own time. */
async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call()
    } catch (error) {
      if (attempt >= 30) throw error
      await sleep(1_000)
    }
  }
}
