import { configError, type TenancyError } from '@tenantry/multi-tenancy/provider'
import { escapeLiteral } from 'pg'

/**
 * Checks that a new connection is logged in as the tenant's login. A parameter that the driver reads after the
 * configuration, or a pooler that maps logins, would otherwise serve tenants with other rights.
 *
 * @throws `config_invalid`
 */
export function assertLogin(
  actual: { readonly login: string; readonly role: string },
  expected: string,
): void {
  const wrong = [actual.login, actual.role].find((name) => name !== expected)
  if (wrong !== undefined) throw wrongLogin(`"${wrong}" instead of "${expected}"`)
}

/**
 * The same check as an SQL expression that fails with 22P02, for connections that are not one session. Every operator
 * and type is qualified: the search path may be set by a tenant.
 */
export function loginCheck(expected: string): string {
  return (
    `CASE WHEN session_user OPERATOR(pg_catalog.=) ${escapeLiteral(expected)}::pg_catalog.name THEN 0 ` +
    "ELSE ('session_user ' OPERATOR(pg_catalog.||) session_user::pg_catalog.text)::pg_catalog.int4 END"
  )
}

/** What the failure of `loginCheck` means. */
export function failedLoginCheck(message: string): TenancyError {
  const [, login] = /session_user ([^"]+)/.exec(message) ?? []
  return wrongLogin(`"${login}"`)
}

function wrongLogin(logins: string): TenancyError {
  return configError(
    'connection',
    `a tenant's connection is logged in as ${logins}; check the login, and that no pooler maps it to another`,
  )
}
