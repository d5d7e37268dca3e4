import { TenancyError } from '@tenantry/multi-tenancy/provider'
import type { Connection as DriverConnection } from 'mysql2'
import type { Login } from '../driver-options.ts'
import { type Row, runStatement } from './run-statement.ts'

interface AccountSession {
  readonly driver: DriverConnection
  readonly login: Login
  /** The users that the server lets in under their own names, as confirmed over this connection. */
  readonly confirmedUsers: Set<string>
}

export const ACCOUNT_COLUMN = 'CURRENT_USER() AS tenantry_account'

/**
 * Runs one of the core's reads. Until the account of the connection's login is confirmed, the read returns it as one
 * more column, which costs no further statement.
 */
export async function readConfirmingAccount(
  { driver, confirmedUsers, login }: AccountSession,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const isOpen = !confirmedUsers.has(login.user) && sql.startsWith('SELECT ')
  const text = isOpen ? `SELECT ${ACCOUNT_COLUMN}, ${sql.slice('SELECT '.length)}` : sql
  const rows = await runStatement(driver, text, values)
  if (!isOpen || rows.length === 0) return rows
  confirmAccount(confirmedUsers, login, rows[0])
  return rows.map(({ tenantry_account: _, ...row }) => row)
}

/** @throws `config_invalid` where the server lets the connection's login in as another account */
export async function ensureAccountConfirmed({
  driver,
  confirmedUsers,
  login,
}: AccountSession): Promise<void> {
  if (confirmedUsers.has(login.user)) return
  const [row] = await runStatement(driver, `SELECT ${ACCOUNT_COLUMN}`)
  confirmAccount(confirmedUsers, login, row)
}

/**
 * A server may let a login in as another account: as an anonymous one whose host is more exact, or by a proxy. The
 * session then has the rights of that account instead of those of the tenant's own user.
 */
export function confirmAccount(confirmedUsers: Set<string>, login: Login, row: Row | undefined): void {
  const account = String(row?.tenantry_account)
  if (!login.isShared && account.slice(0, account.lastIndexOf('@')) !== login.user) {
    throw new TenancyError(
      'config_invalid',
      `The server lets the login ${login.user} in as the account ${account}: delete that account, or the proxy to it`,
    )
  }
  confirmedUsers.add(login.user)
}
