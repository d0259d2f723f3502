import { once } from 'node:events'
import { createServer } from 'node:http'
import { Provider } from 'oidc-provider'

/** Whoever signs in as a subject is told of with these claims. */
export type People = Record<string, { sub: string; preferred_username: string; name: string }>

export const clientOfIssuer = { clientId: 'lianpian', clientSecret: 'a secret between the two' }

/** A hospital's own sign-in (OpenID Connect, code with PKCE) with its pages; any password will do there. */
export async function startIssuer({ port, redirectUris, people }: { port: number; redirectUris: readonly string[]; people: People }): Promise<{ issuer: string; stop(): void }> {
  const issuer = `http://127.0.0.1:${port}`
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientOfIssuer.clientId, client_secret: clientOfIssuer.clientSecret, redirect_uris: redirectUris, response_types: ['code'], grant_types: ['authorization_code'] }],
    pkce: { required: () => true },
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'] },
    findAccount: (_context, id) => Promise.resolve({ accountId: id, claims: () => Promise.resolve({ ...people[id], sub: id }) }),
    features: { devInteractions: { enabled: true } },
    cookies: { keys: ['a test'] },
  })
  provider.on('server_error', () => {})
  const server = createServer(provider.callback()).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    issuer,
    stop() {
      server.closeAllConnections()
      server.close()
    },
  }
}
