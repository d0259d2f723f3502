import type { HttpFace } from '../http/index.ts'
import type { Accounts } from './accounts.ts'
import { addOidcRoutes } from './oidc/routes.ts'
import { addOrganisationRoutes } from './organisation/routes.ts'
import { addPasswordRoutes } from './password/routes.ts'
import { addPersonRoutes } from './person/routes.ts'
import { addRoleRoutes } from './role/routes.ts'
import { addSecondFactorRoutes } from './second-factor/routes.ts'
import { addServiceAccountRoutes } from './service-account/routes.ts'
import { addSessionRoutes } from './session/routes.ts'

/** Everything about who may sign in, and how. */
export function addIdentityRoutes(face: HttpFace, accounts: Accounts, extra: () => Record<string, unknown>): void {
  addSessionRoutes(face, accounts, extra)
  addOidcRoutes(face, accounts)
  addPasswordRoutes(face, accounts)
  addSecondFactorRoutes(face, accounts)
  addPersonRoutes(face, accounts)
  addRoleRoutes(face, accounts)
  addOrganisationRoutes(face, accounts)
  addServiceAccountRoutes(face, accounts)
}
