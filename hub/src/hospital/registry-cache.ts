import type { Queries } from 'service-kit'
import { directoryVersion } from '../directory/directory.ts'
import type { Registry } from './registry.ts'
import { readRegistry } from './store.ts'

/**
 * The registry as the caller's transaction sees it, read anew only when the directory's version has changed: every
 * change to the registry raises the version in its own transaction, whichever process makes it.
 */
export class RegistryCache {
  #held: { readonly version: number; readonly registry: Registry } | undefined

  async read(queries: Queries): Promise<Registry> {
    const version = await directoryVersion(queries)
    if (this.#held?.version === version) return this.#held.registry
    const registry = await readRegistry(queries)
    this.#held = { version, registry }
    return registry
  }
}
