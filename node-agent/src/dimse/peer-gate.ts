/** PEM texts: the authority that the peer's certificate must chain to, and our own certificate for peers that ask for one. */
export interface PeerTls {
  readonly ca: string
  readonly cert?: string
  readonly key?: string
}

/** Who may be reached and how: judges and resolves a host, and knows the keys for peers that are called by TLS. */
export interface PeerGate {
  /** @returns the address to connect to. @throws {Problem} outbound/refused */
  (host: string): Promise<string>
  /** @throws {Problem} dimse/no-peer-keys */
  readonly tlsOf?: (aeTitle: string) => Promise<PeerTls>
}
