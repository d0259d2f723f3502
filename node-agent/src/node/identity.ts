import { createAccounts, createHttpFace, Outbound, Trail } from 'service-kit'
import { nodeRoles, type LiveEvent } from 'specs'
import type { Region } from '../region/region.ts'
import { VERSION } from '../version.ts'
import type { Ground } from './ground.ts'

export type NodeIdentity = Awaited<ReturnType<typeof openIdentity>>

/**
 * Who acts at this node and what is kept of it: the trail, the accounts, and the HTTP face that asks both.
 *
 * @param region as soon as there is one. The trail is opened first of all and may have to sign before that.
 */
export async function openIdentity(ground: Ground, announce: (event: LiveEvent) => void, region: () => Region | undefined) {
  const { settings, log, metrics, db, vault, hospitalId, keyFolder } = ground
  const { http } = settings
  const audit = await Trail.open({
    log, metrics, keyFolder,
    database: settings.audit.database,
    settings: settings.audit,
    party: hospitalId,
    safe: vault,
    callers: [db],
    identity: () => {
      const joined = region()
      return joined?.membership ? joined.identity : undefined
    },
    onState: (available) => announce({ type: 'audit', state: available ? 'ok' : 'failing' }),
  }) // prettier-ignore
  const outbound = new Outbound({ config: settings.outbound, own: { host: http.host, behindProxy: http.plain === 'behind-proxy' || http.trustProxy } })
  const accounts = await createAccounts({
    outbound, db, log, audit, vault,
    party: hospitalId,
    roles: nodeRoles,
    identity: settings.identity,
    extra: () => ({ hospital: { id: hospitalId, name: region()?.nameOf(hospitalId) ?? settings.hospital.name } }),
  }) // prettier-ignore
  for (const account of settings.accounts) await accounts.ensure(account)
  const face = createHttpFace({ name: hospitalId, version: VERSION, log, metrics, accounts, audit, trustProxy: http.trustProxy, limits: http.limits })
  return { audit, outbound, accounts, face }
}
