import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { isNumber } from '../errors.ts'
import { quoteName } from '../sql-text.ts'

/** The administrator's statements that a server or a host may refuse, and the right each needs. */
const RIGHTS = {
  'CREATE DATABASE': 'CREATE and DROP on the databases of tenants and of the registry',
  'DROP DATABASE': 'DROP on the databases of tenants',
  'CREATE USER': 'CREATE USER ON *.*',
  'ALTER USER': 'CREATE USER ON *.*',
  'DROP USER': 'CREATE USER ON *.*',
  GRANT: 'ALL PRIVILEGES on the databases of tenants, WITH GRANT OPTION',
  'SHOW GRANTS': 'SELECT ON mysql.*',
  KILL: 'PROCESS and CONNECTION ADMIN (MySQL: CONNECTION_ADMIN) ON *.*',
  'GET_LOCK()': 'nothing: every user may',
  'the registry': 'ALL PRIVILEGES on the database of the option registry',
} as const

export type AdminStatement = keyof typeof RIGHTS

const USERS: readonly AdminStatement[] = ['CREATE USER', 'ALTER USER', 'DROP USER', 'GRANT', 'SHOW GRANTS']

/** Access denied to a database, a table, a column, a routine; a right missing; no GRANT allowed. */
const DENIED = [1044, 1142, 1143, 1227, 1370, 1410, 1419]
/** No such command, not supported, not in this version, a syntax that it does not have. */
const UNKNOWN = [1047, 1064, 1105, 1235, 1289, 1305]

/**
 * Awaits a statement of the administrator. Where the server rejects it, the error names the statement and the missing right.
 *
 * @throws `provider_rejected` naming the statement and the right; `not_supported` where the server does not have the
 * statement
 */
export async function asAdmin<Result>(
  statement: AdminStatement,
  admin: string,
  work: Promise<Result>,
): Promise<Result> {
  try {
    return await work
  } catch (error) {
    const hint = USERS.includes(statement) ? ", or use isolation: 'shared'" : ''
    if (isNumber(error, ...DENIED)) {
      throw new TenancyError(
        'provider_rejected',
        `The server refuses ${statement} to ${admin}: grant ${RIGHTS[statement]}${hint}`,
        { cause: error },
      )
    }
    if (!isNumber(error, ...UNKNOWN)) throw error
    throw new TenancyError('not_supported', `The server has no ${statement}${hint}`, { cause: error })
  }
}

/**
 * Checks the rows of SHOW GRANTS for a tenant's user: all rights on exactly its database, and none elsewhere.
 *
 * @param pattern the name of its database as it stands in GRANT
 * @throws `provider_rejected` for anything else
 */
export function assertGrants(rows: readonly Record<string, unknown>[], pattern: string): void {
  const grants = rows.map((row) => String(Object.values(row)[0]))
  const own = quoteName(pattern)
  const fine = (grant: string): boolean =>
    !grant.includes('WITH GRANT OPTION') &&
    (grant.startsWith('GRANT USAGE ON *.* TO ') || grant.startsWith(`GRANT ALL PRIVILEGES ON ${own}.* TO `))
  if (grants.every(fine) && grants.some((grant) => grant.startsWith('GRANT ALL'))) return
  throw new TenancyError(
    'provider_rejected',
    `The tenant's user has other rights than those on its database alone (${pattern}): revoke them`,
  )
}
