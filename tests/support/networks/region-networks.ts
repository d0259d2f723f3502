import type { Place } from '../../../scripts/region/place.ts'
import { type Host, type Networks } from './networks.ts'

/** Ports of every service; each has a computer of its own, so they may be the same. */
export const ports = { hub: 8400, nats: 4400, http: 8420, dimse: 11_420, pacs: 104, database: 5432, hl7: 2575 } as const

/** Addresses of the drawing below. The outer ones are documentation's, the inner ones private. */
export const addresses = {
  platform: { wan: '203.0.113.10', line: '10.77.3.1' },
  a: { outer: '198.51.100.10', node: '10.11.0.2', pacs: '10.11.0.10', ris: '10.11.0.11', desk: '10.11.0.20' },
  b: { outer: '198.18.2.2', node: '192.168.50.10', desk: '192.168.50.20' },
  c: { line: '10.77.3.2', node: '10.33.0.2', desk: '10.33.0.20' },
} as const

export type RegionHosts = Record<'platform' | 'wan' | 'aNode' | 'aPacs' | 'aRis' | 'aDesk' | 'bRouter' | 'bNode' | 'bDesk' | 'cNode' | 'cDesk', Host>

/**
 * The networks of a region with one hospital of each kind:
 * ```
 *   pacs ┐                     198.51.100.10                203.0.113.10
 *   ris  ┼ LAN ─ node agent A ═══════════════ wan router ═══════════════ platform: hub, nats-server
 *   desk ┘ 10.11.0.0/24 (no forwarding)           ║                          ║ 10.77.3.1
 *   node agent B ┬ LAN ─ router (masquerade) ═════╝ 198.18.2.2               ║ dedicated line, 20 Mbit/s
 *   desk         ┘ 192.168.50.0/24                node agent C ══════════════╝ 10.77.3.2
 *                                    desk ─ LAN ──┘ 10.33.0.0/24
 * ```
 */
export async function layRegion(networks: Networks): Promise<{ hosts: RegionHosts; places: Record<string, Place> }> {
  const [platform, wan] = [await networks.host('platform'), await networks.router('wan')]
  const [aNode, aPacs, aRis, aDesk] = [await networks.host('a-node'), await networks.host('a-pacs'), await networks.host('a-ris'), await networks.host('a-desk')]
  const [bRouter, bNode, bDesk] = [await networks.router('b-router'), await networks.host('b-node'), await networks.host('b-desk')]
  const [cNode, cDesk] = [await networks.host('c-node'), await networks.host('c-desk')]
  const [aSwitch, cSwitch] = [await networks.host('a-switch'), await networks.host('c-switch')]

  await networks.cable([platform, 'wan', `${addresses.platform.wan}/24`], [wan, 'platform', '203.0.113.1/24'])
  await networks.cable([aNode, 'outer', `${addresses.a.outer}/24`], [wan, 'hospital-a', '198.51.100.1/24'])
  await networks.cable([bRouter, 'outer', `${addresses.b.outer}/24`], [wan, 'hospital-b', '198.18.2.1/24'])
  await networks.cable([platform, 'line', `${addresses.platform.line}/30`], [cNode, 'line', `${addresses.c.line}/30`])
  await networks.switch(aSwitch, [[aNode, 'inner', `${addresses.a.node}/24`], [aPacs, 'lan', `${addresses.a.pacs}/24`], [aRis, 'lan', `${addresses.a.ris}/24`], [aDesk, 'lan', `${addresses.a.desk}/24`]])
  await networks.switch(bRouter, [[bNode, 'lan', `${addresses.b.node}/24`], [bDesk, 'lan', `${addresses.b.desk}/24`]], '192.168.50.1/24')
  await networks.switch(cSwitch, [[cNode, 'inner', `${addresses.c.node}/24`], [cDesk, 'lan', `${addresses.c.desk}/24`]])

  const route = (host: Host, by: string) => host.ip('route', 'add', 'default', 'via', by)
  await route(platform, '203.0.113.1')
  await route(aNode, '198.51.100.1')
  await route(bRouter, '198.18.2.1')
  await route(bNode, '192.168.50.1')
  // The worst that can be set up wrongly around A: its PACS and RIS would answer by way of the node, and the WAN, as the
  // platform, carries packets for the hospital's inner network to it.
  for (const host of [aPacs, aRis]) await route(host, addresses.a.node)
  await wan.ip('route', 'add', '10.11.0.0/24', 'via', addresses.a.outer)
  await platform.ip('route', 'add', '10.33.0.0/24', 'via', addresses.c.line)

  await bRouter.rules(`
    table ip gate {
      chain translate {
        type nat hook postrouting priority srcnat
        oifname "outer" masquerade
      }
      chain passing {
        type filter hook forward priority filter
        iifname "outer" ct state established,related accept
        iifname "outer" drop
      }
      chain input {
        type filter hook input priority filter
        iifname "outer" drop
      }
    }
  `)
  // Only width: a kernel that can also delay packets (netem) is not everywhere.
  for (const [host, end, rate] of [[platform, 'line', '20mbit'], [cNode, 'line', '20mbit'], [wan, 'platform', '50mbit'], [wan, 'hospital-a', '50mbit']] as const)
    await host.run('tc', 'qdisc', 'add', 'dev', end, 'root', 'tbf', 'rate', rate, 'burst', '128kb', 'limit', '8mb')

  const hubUrl = `http://${addresses.platform.wan}:${ports.hub}`
  const places: Record<string, Place> = {
    hub: { launcher: platform.launcher, url: await networks.seat(platform, '127.0.0.1', ports.hub), httpHost: '0.0.0.0', natsUrl: `nats://${addresses.platform.wan}:${ports.nats}` },
    // Pages on both cards, DICOM on the inner one only.
    'hospital-a': { launcher: aNode.launcher, url: await networks.seat(aDesk, addresses.a.node, ports.http), httpHost: '0.0.0.0', dimseHost: addresses.a.node, hubUrl },
    'hospital-b': { launcher: bNode.launcher, url: await networks.seat(bDesk, addresses.b.node, ports.http), httpHost: addresses.b.node, dimseHost: addresses.b.node, hubUrl },
    // Nothing at all on the card towards the region.
    'hospital-c': { launcher: cNode.launcher, url: await networks.seat(cDesk, addresses.c.node, ports.http), httpHost: addresses.c.node, dimseHost: addresses.c.node, hubUrl: `http://${addresses.platform.line}:${ports.hub}` },
  }
  return { hosts: { platform, wan, aNode, aPacs, aRis, aDesk, bRouter, bNode, bDesk, cNode, cDesk }, places }
}
