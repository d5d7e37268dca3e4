import type { Redactor } from '@tenantry/multi-tenancy/provider'
import type { Login } from '../driver-options.ts'
import { type DatabasePlace, userName } from '../locator.ts'
import type { Settings } from '../options.ts'
import { deriveUserPassword } from './credentials.ts'
import type { Target, TenantTarget } from './pool.ts'

export type FindLogin = (target: Target) => Promise<Login>

/** Finds the login of a target. Each is derived once, because that takes as long as a query. */
export function createLogins(admin: Login, { isolation, secret }: Settings, redactor: Redactor): FindLogin {
  const logins = new WeakMap<TenantTarget, Login>()

  async function deriveLogin({ database, id }: DatabasePlace): Promise<Login> {
    if (isolation === 'shared') return { ...admin, database, isShared: true }
    const user = userName(id)
    return { user, password: await deriveUserPassword(secret, user), database }
  }

  return async (target) => {
    if (target.kind === 'admin') return admin
    const login = logins.get(target) ?? (await deriveLogin(target.place))
    logins.set(target, login)
    if (isolation === 'user') redactor.add(login.password)
    return login
  }
}
