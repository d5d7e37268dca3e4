import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { deriveUserPassword, hashNativePassword } from '../connections/credentials.ts'
import type { Run } from '../connections/server.ts'
import { isNumber } from '../errors.ts'
import { userName } from '../locator.ts'
import type { Settings } from '../options.ts'
import { escapeGrantPattern, quoteName, quoteText } from '../sql-text.ts'
import { asAdmin, assertGrants } from './privileges.ts'

/** The users of one server's tenants. */
export interface Users {
  /** Creates the user of a database with rights on that database only. Checks the rights of an existing user. */
  create(run: Run, database: string, id: string): Promise<void>
  /** Locks the user and ends its connections, or unlocks it with the derived password. */
  setAccess(run: Run, id: string, access: 'open' | 'closed'): Promise<void>
  /** Drops the user, then ends its connections. */
  drop(run: Run, id: string): Promise<void>
}

/** No such grant: the user does not exist. */
const NO_GRANT = 1141

export function createUsers(admin: string, { userHost, secret }: Settings): Users {
  const account = (id: string, host = userHost): string => `${quoteText(userName(id))}@${quoteText(host)}`

  /** The accounts of every host part: one that was created under an older `userHost` still accepts logins. */
  async function accounts(run: Run, id: string): Promise<string[]> {
    const hosts = run('SELECT Host FROM mysql.user WHERE User = ?', [userName(id)])
    return (await asAdmin('SHOW GRANTS', admin, hosts)).map(({ Host }) => account(id, String(Host)))
  }

  async function identified(run: Run, id: string): Promise<string> {
    const [facts] = await run('SELECT VERSION() AS version')
    const password = await deriveUserPassword(secret, userName(id))
    return /mariadb/i.test(String(facts?.version))
      ? `IDENTIFIED BY PASSWORD ${quoteText(await hashNativePassword(password))}`
      : `IDENTIFIED BY ${quoteText(password)}`
  }

  async function create(run: Run, database: string, id: string): Promise<void> {
    const [partial] = await run("SHOW GLOBAL VARIABLES LIKE 'partial_revokes'")
    // With them a database's name in GRANT is not a pattern: https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html
    const escaped = String(partial?.Value ?? 'OFF').toUpperCase() !== 'ON'
    const pattern = escaped ? escapeGrantPattern(database) : database
    if (pattern.length > 64)
      throw new TenancyError(
        'provider_rejected',
        `The name ${database} has too many underscores for GRANT: choose another databasePrefix`,
      )
    const show = (): Promise<Record<string, unknown>[]> =>
      asAdmin('SHOW GRANTS', admin, run(`SHOW GRANTS FOR ${account(id)}`))
    const grants = await show().catch((error: unknown) => {
      if (isNumber(error, NO_GRANT)) return undefined
      throw error
    })
    if (grants !== undefined && grants.length > 1) return assertGrants(grants, pattern)
    await assertNoAnonymousAccess(run, database)
    if (grants === undefined)
      await asAdmin('CREATE USER', admin, run(`CREATE USER ${account(id)} ${await identified(run, id)}`))
    await asAdmin('GRANT', admin, run(`GRANT ALL PRIVILEGES ON ${quoteName(pattern)}.* TO ${account(id)}`))
    assertGrants(await show(), pattern)
  }

  /** Rejects a database that anonymous users may open: old installations have `test` and `test_…`. */
  async function assertNoAnonymousAccess(run: Run, database: string): Promise<void> {
    const ask = run("SELECT Db FROM mysql.db WHERE User IN ('', 'PUBLIC') AND ? LIKE Db", [database])
    const [open] = await asAdmin('SHOW GRANTS', admin, ask)
    if (open === undefined) return
    throw new TenancyError(
      'provider_rejected',
      `Every user of the server may open databases named like ${open.Db}: delete that row of mysql.db, or choose another databasePrefix`,
    )
  }

  return {
    create,
    async setAccess(run, id, access) {
      // Sets the password again, because a tenant's SQL may have changed its own.
      const change = access === 'closed' ? 'ACCOUNT LOCK' : `${await identified(run, id)} ACCOUNT UNLOCK`
      for (const each of await accounts(run, id))
        await asAdmin('ALTER USER', admin, run(`ALTER USER IF EXISTS ${each} ${change}`))
      if (access === 'closed') await kill(run, admin, 'user', userName(id))
    },
    async drop(run, id) {
      for (const each of await accounts(run, id))
        await asAdmin('DROP USER', admin, run(`DROP USER IF EXISTS ${each}`))
      await kill(run, admin, 'user', userName(id))
    },
  }
}

/** Milliseconds to wait until killed connections have ended: one that rolls back takes longer. */
const KILL_TIMEOUT = 10_000

/**
 * Ends the connections of a user, or in a database, except our own. Resolves when the server has none left.
 *
 * @throws `provider_unavailable` when they do not end
 */
export async function kill(run: Run, admin: string, column: 'user' | 'db', value: string): Promise<void> {
  const until = Date.now() + KILL_TIMEOUT
  for (let delay = 1; ; delay = Math.min(2 * delay, 100)) {
    const rows = await run(
      `SELECT id FROM information_schema.processlist WHERE ${column} = ? AND id <> CONNECTION_ID()`,
      [value],
    )
    if (rows.length === 0) return
    for (const { id, ID = id } of rows) {
      await asAdmin('KILL', admin, run(`KILL CONNECTION ${Number(ID)}`)).catch((error: unknown) => {
        // The connection has ended already.
        if (!isNumber(error, 1094)) throw error
      })
    }
    if (Date.now() > until)
      throw new TenancyError(
        'provider_unavailable',
        `${rows.length} connections of the tenant (${column} ${value}) did not end within ${KILL_TIMEOUT / 1_000} s`,
        { retryAfter: 5 },
      )
    await new Promise((resolve) => setTimeout(resolve, delay))
  }
}
