import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

export interface TcpSocket {
  state: 'listening' | 'established'
  localPort: number
  remotePort: number
}

/** The TCP sockets of one process as Linux tells them (/proc): what a port scan could find, and whom it calls. */
export function socketsOf(pid: number): TcpSocket[] {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        return [] // closed while we looked
      }
    }),
  )
  return ['tcp', 'tcp6'].flatMap((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .flatMap((line): TcpSocket[] => {
        const fields = line.trim().split(/\s+/)
        const [, local = '', remote = '', state = ''] = fields
        if (!inodes.has(fields[9] ?? '')) return []
        const portOf = (address: string) => Number.parseInt(address.split(':')[1] ?? '0', 16)
        if (state === '0A') return [{ state: 'listening', localPort: portOf(local), remotePort: 0 }]
        return state === '01' ? [{ state: 'established', localPort: portOf(local), remotePort: portOf(remote) }] : []
      }),
  )
}
