/** Where a service of a region runs when it has networks of its own: another network namespace of this machine. */
export interface Place {
  /** Words before the program, e.g. `ip netns exec hospital-a`. */
  launcher: readonly string[]
  /** Its HTTP as whoever drives the region reaches it; it need not be as others do. */
  url: string
  /** Address that its HTTP listens on; for the hub its nats-server, too. */
  httpHost: string
  /** Of a hospital: the address that DICOM listens on, and its devices call. */
  dimseHost?: string
  /** Of a hospital: the hub as its node reaches it. */
  hubUrl?: string
  /** Of the hub: nats-server as hospitals reach it unless their plan has a `natsUrl`. */
  natsUrl?: string
}
