/** What nats-server is told. Paths are as the server process sees them. */
export interface ServerConfig {
  readonly host: string
  readonly port: number
  /** JetStream files and the server's copies of account claims. */
  readonly storeDir: string
  readonly operatorJwt: string
  readonly systemAccount: string
  /** File beside the configuration with the claims of both accounts; rewritten at each revocation. */
  readonly preloadFile: string
  /** `2.9.10`; settings a version does not know would keep it from starting. */
  readonly serverVersion?: string | undefined
  readonly tls?: { readonly certFile: string; readonly keyFile: string }
}

/** Pieces of images are 1 MiB, envelopes at most 4 MiB; the rest is room. Above 8 MB the server itself warns. */
const maxPayload = '8MB'

export function serverConfigText(config: ServerConfig): string {
  const sync = supportsSyncInterval(config.serverVersion) ? '  sync_interval: always\n' : ''
  return `# Written by the hub; changes are overwritten at its next start.
listen: ${quoted(`${config.host}:${config.port}`)}
max_payload: ${maxPayload}
${config.tls ? tlsText(config.tls) : ''}operator: ${config.operatorJwt}
system_account: ${config.systemAccount}
resolver {
  type: full
  dir: ${quoted(`${config.storeDir}/accounts`)}
  allow_delete: true
}
resolver_preload {
  include ${quoted(`./${config.preloadFile}`)}
}
jetstream {
  store_dir: ${quoted(`${config.storeDir}/jetstream`)}
${sync}}
`
}

/** Go's own minimum is TLS 1.2; the suites are those of modernTls as Go names them. */
function tlsText({ certFile, keyFile }: { certFile: string; keyFile: string }): string {
  return `tls {
  cert_file: ${quoted(certFile)}
  key_file: ${quoted(keyFile)}
  timeout: 5
  cipher_suites: [
    "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
  ]
  curve_preferences: ["X25519", "CurveP256", "CurveP384"]
}
`
}

export function preloadText(claims: Readonly<Record<string, string>>): string {
  return Object.entries(claims)
    .map(([account, jwt]) => `${account}: ${jwt}\n`)
    .join('')
}

/**
 * `sync_interval` came with nats-server 2.10; 2.9 calls it an unknown field and does not start. There, JetStream answers
 * before the bytes are synced, which costs nothing here: outbox rows stay until the other side has committed.
 */
export function supportsSyncInterval(serverVersion: string | undefined): boolean {
  const [major = 0, minor = 0] = (serverVersion ?? '').split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 10)
}

const quoted = (text: string): string => `"${text.replaceAll('\\', '/').replaceAll('"', '\\"')}"`
