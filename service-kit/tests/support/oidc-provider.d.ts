/** As much of it as our test says to it; the package brings no types. */
declare module 'oidc-provider' {
  import type { RequestListener } from 'node:http'

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown> & {
      findAccount: (context: unknown, id: string) => Promise<{ accountId: string; claims: () => Promise<Record<string, unknown>> }>
    })
    callback(): RequestListener
    on(event: string, listener: () => void): this
  }
}
