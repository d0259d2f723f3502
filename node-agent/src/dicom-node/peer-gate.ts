import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Outbound } from 'service-kit'
import { Problem } from 'specs'
import type { PeerGate, PeerTls } from '../dimse/peer-gate.ts'

/**
 * The gate for DICOM nodes that we call. What a node with `secure` needs lies in the node agent's key folder, in
 * `dicom-nodes/<AE title>` or, for all others, in `dicom-nodes/default`: `ca.pem`, and `cert.pem` with `key.pem` where the peer asks for
 * a certificate of ours (PS3.15 B.12). Read at every call, so that a renewed certificate needs no restart.
 */
export function peerGate({ outbound, keyFolder }: { outbound: Pick<Outbound, 'addressOf'>; keyFolder: string }): PeerGate {
  const folders = (aeTitle: string) => [join(keyFolder, 'dicom-nodes', aeTitle.replaceAll(/[^A-Za-z0-9_-]/g, '_')), join(keyFolder, 'dicom-nodes', 'default')]
  return Object.assign(async (host: string) => (await outbound.addressOf('dicom-node', host)).address, {
    tlsOf: async (aeTitle: string): Promise<PeerTls> => {
      for (const folder of folders(aeTitle)) {
        const ca = await pem(folder, 'ca.pem')
        if (ca === undefined) continue
        const [cert, key] = [await pem(folder, 'cert.pem'), await pem(folder, 'key.pem')]
        return { ca, ...(cert !== undefined && key !== undefined && { cert, key }) }
      }
      throw new Problem('dimse/no-peer-keys', { aeTitle })
    },
  })
}

async function pem(folder: string, name: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, name), 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined
    throw error
  }
}
