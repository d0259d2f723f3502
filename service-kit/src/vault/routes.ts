import { Problem } from 'specs'
import { z } from 'zod'
import type { AuditTrail } from '../audit/index.ts'
import type { HttpFace } from '../http/index.ts'
import type { Resealing } from './reseal.ts'
import type { Vault } from './vault.ts'

const time = z.number().int()
const VaultStatus = z.object({
  /** Short name of the key over the keys, and where it comes from; never the key. */
  kekId: z.string(),
  place: z.string(),
  /** The key that is sealed with now. */
  currentKid: z.number().int(),
  keys: z.array(z.object({ kid: z.number().int(), createdAt: time, activeFrom: time })),
  reseal: z.object({ state: z.enum(['none', 'running', 'done', 'failed']), done: z.number().int(), total: z.number().int(), startedAt: time.nullable(), endedAt: time.nullable() }),
})

/** 密钥管理: what seals the data of this service, and changing it. */
export function addVaultRoutes(face: HttpFace, { vault, resealing, audit }: { vault: Vault; resealing: Resealing; audit: AuditTrail }): void {
  const status = async () => ({ ...(await vault.status()), reseal: resealing.progress })
  face.route({ method: 'GET', path: '/api/vault', summary: 'Keys of the data at rest, and how far re-sealing is', allow: ['certificate.manage', 'security.overview'], answer: VaultStatus }, status)
  face.route(
    { method: 'POST', path: '/api/vault/rotation', summary: 'A new data key; everything is sealed anew with it', allow: ['certificate.manage'], answer: VaultStatus },
    async () => {
      if (resealing.isRunning) throw new Problem('vault/busy')
      const before = (await vault.status()).currentKid
      await audit.record({ action: 'key.rotate', outcome: 'success', object: { type: 'key', id: 'vault' }, before: { kid: before } })
      await vault.rotate()
      resealing.start()
      return { status: 202, body: await status() }
    },
  )
  face.route(
    { method: 'POST', path: '/api/vault/kek', summary: 'A new key over the keys, where this service keeps it itself', allow: ['certificate.manage'], answer: VaultStatus },
    async () => {
      const { kekId: before, place } = await vault.status()
      // Asked before the trail is told, which must not know of a change that cannot be.
      if (!vault.holdsKek) throw new Problem('vault/kek-elsewhere', { place })
      await audit.record({ action: 'key.rotate', outcome: 'success', object: { type: 'key', id: 'vault-kek' }, before: { kekId: before } })
      await vault.renewKek()
      return { status: 202, body: await status() }
    },
  )
}
