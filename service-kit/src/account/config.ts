import { z } from 'zod'

const minutes = (most: number) => z.number().int().min(1).max(most)

/** A sign-in of the hospital's own (OpenID Connect Core 1.0, authorization code with PKCE). */
export const OidcProviderConfig = z.strictObject({
  /** In the addresses of sign-in and callback: `/api/oidc/<id>/callback`. */
  id: z.string().regex(/^[a-z][a-z0-9-]{0,31}$/),
  /** On the sign-in page, for example 医院统一身份认证. */
  name: z.string().trim().min(1).max(60),
  issuer: z.url({ protocol: /^https?$/ }),
  clientId: z.string().min(1).max(200),
  clientSecret: z.string().max(400).optional(),
  scope: z.string().max(400).default('openid profile'),
  /** The claim that names the account, and what of the account it names. */
  claim: z.string().max(64).default('preferred_username'),
  matches: z.enum(['username', 'staffNumber']).default('username'),
  /** Whoever has no account yet gets one with this role; without it, only existing accounts may sign in. */
  createWithRole: z.string().max(64).optional(),
  /** Values of `acr` or `amr` (RFC 8176) that prove a second factor at the hospital's sign-in. */
  strongWhen: z.array(z.string().max(64)).default(['mfa', 'otp', 'hwk', 'sc']),
  /** Plain HTTP to the issuer, for tests on this machine only. */
  insecure: z.boolean().default(false),
})
export type OidcProviderConfig = z.output<typeof OidcProviderConfig>

/** How people prove who they are. Defaults follow the usual practice of GB/T 22239-2019 8.1.4.1 at level 3. */
export const IdentityConfig = z.strictObject({
  password: z
    .strictObject({
      minLength: z.number().int().min(8).max(128).default(10),
      /** Of lower case, upper case, digits and signs. */
      minClasses: z.number().int().min(1).max(4).default(3),
      /** Passwords that must not come again. */
      history: z.number().int().min(0).max(50).default(5),
      /** Then it must be changed; 0 means never. */
      maxAgeDays: z.number().int().min(0).max(3_650).default(90),
    })
    .prefault({}),
  lockOut: z
    .strictObject({
      failures: z.number().int().min(2).max(100).default(5),
      windowMinutes: minutes(1_440).default(10),
      lockMinutes: minutes(10_080).default(30),
      /** Wrong sign-ins of one source address within `addressWindowMinutes`; a whole hospital may share one address. */
      failuresPerAddress: z.number().int().min(5).max(100_000).default(200),
      addressWindowMinutes: minutes(1_440).default(15),
    })
    .prefault({}),
  session: z
    .strictObject({
      /** Without a request that a person caused; live events do not count. */
      idleMinutes: minutes(720).default(15),
      maxHours: z.number().min(0.01).max(72).default(12),
      /** A new sign-in ends the account's other sessions. */
      onePerAccount: z.boolean().default(false),
      /** The key that signs session tokens is replaced this often; tokens of the former one stay good until they end. */
      keyDays: z.number().int().min(1).max(3_650).default(30),
    })
    .prefault({}),
  /** Accounts that nobody has used for so long are disabled; 0 means never. */
  unusedDays: z.number().int().min(0).max(3_650).default(90),
  /** Who must show a second factor: nobody, whoever uses a privileged right, or everybody. */
  secondFactor: z.enum(['optional', 'administrators', 'everyone']).default('administrators'),
  /** Who may give roles without administrative rights: the security administrator alone, or the system administrator, too. */
  workRolesBy: z.enum(['security', 'system']).default('security'),
  webauthn: z
    .strictObject({
      /** Domain that keys are bound to, and addresses of the pages; taken from the request unless told. */
      rpId: z.string().max(253).optional(),
      origins: z.array(z.url()).max(20).optional(),
    })
    .prefault({}),
  oidc: z.array(OidcProviderConfig).max(8).default([]),
  /** How browsers reach this service, for the callback of the hospital's sign-in; taken from the request unless told. */
  publicUrl: z.url({ protocol: /^https?$/ }).optional(),
})
export type IdentityConfig = z.input<typeof IdentityConfig>
export type IdentitySettings = z.output<typeof IdentityConfig>
