import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { nativeHash, passwordOf } from '../connections/credentials.ts'
import type { Run } from '../connections/pool.ts'
import { isNumber } from '../errors.ts'
import { userOf } from '../locator.ts'
import type { Settings } from '../options.ts'
import { escapeGrantPattern, quoteName, quoteText } from '../sql-text.ts'
import { asAdmin, assertGrants } from './privileges.ts'

/** The users of one server's tenants. */
export interface Users {
  /** Makes the user of an incarnation with rights on its database alone; confirms them where it is there. */
  make(run: Run, database: string, id: string): Promise<void>
  /** Lets nobody in as this user, in any process, or lets in again with the password that is derived. */
  setAccess(run: Run, id: string, access: 'open' | 'closed'): Promise<void>
  /** Takes the user away, its connections last. */
  drop(run: Run, id: string): Promise<void>
}

/** No such grant, for a user that is not there. */
const NO_GRANT = 1141

export function createUsers(admin: string, { userHost, secret }: Settings): Users {
  const account = (id: string, host = userHost): string => `${quoteText(userOf(id))}@${quoteText(host)}`

  /** Those of another `userHost` too: what was made with an option that has changed lets in as before. */
  async function accounts(run: Run, id: string): Promise<string[]> {
    const hosts = run('SELECT Host FROM mysql.user WHERE User = ?', [userOf(id)])
    return (await asAdmin('SHOW GRANTS', admin, hosts)).map(({ Host }) => account(id, String(Host)))
  }

  async function identified(run: Run, id: string): Promise<string> {
    const [facts] = await run('SELECT VERSION() AS version')
    const password = await passwordOf(secret, userOf(id))
    return /mariadb/i.test(String(facts?.version))
      ? `IDENTIFIED BY PASSWORD ${quoteText(await nativeHash(password))}`
      : `IDENTIFIED BY ${quoteText(password)}`
  }

  async function make(run: Run, database: string, id: string): Promise<void> {
    const [partial] = await run("SHOW GLOBAL VARIABLES LIKE 'partial_revokes'")
    // With them a database's name in GRANT is no pattern: https://dev.mysql.com/doc/refman/8.4/en/partial-revokes.html
    const escaped = String(partial?.Value ?? 'OFF').toUpperCase() !== 'ON'
    const pattern = escaped ? escapeGrantPattern(database) : database
    if (pattern.length > 64)
      throw new TenancyError(
        'provider_rejected',
        'Too many underscores for GRANT: choose another databasePrefix',
      )
    const show = (): Promise<Record<string, unknown>[]> =>
      asAdmin('SHOW GRANTS', admin, run(`SHOW GRANTS FOR ${account(id)}`))
    const there = await show().catch((error: unknown) => {
      if (isNumber(error, NO_GRANT)) return undefined
      throw error
    })
    if (there !== undefined && there.length > 1) return assertGrants(there, pattern)
    await refuseStrangers(run, database)
    if (there === undefined)
      await asAdmin('CREATE USER', admin, run(`CREATE USER ${account(id)} ${await identified(run, id)}`))
    await asAdmin('GRANT', admin, run(`GRANT ALL PRIVILEGES ON ${quoteName(pattern)}.* TO ${account(id)}`))
    assertGrants(await show(), pattern)
  }

  /** Refuses a database that users without a name may open, as `test` and `test_…` are on old installations. */
  async function refuseStrangers(run: Run, database: string): Promise<void> {
    const ask = run("SELECT Db FROM mysql.db WHERE User IN ('', 'PUBLIC') AND ? LIKE Db", [database])
    const [open] = await asAdmin('SHOW GRANTS', admin, ask)
    if (open === undefined) return
    throw new TenancyError(
      'provider_rejected',
      `Anybody may use databases named like ${open.Db}: delete that row of mysql.db, or choose another databasePrefix`,
    )
  }

  return {
    make,
    async setAccess(run, id, access) {
      // The password too: a tenant's SQL may have changed its own.
      const change = access === 'closed' ? 'ACCOUNT LOCK' : `${await identified(run, id)} ACCOUNT UNLOCK`
      for (const each of await accounts(run, id))
        await asAdmin('ALTER USER', admin, run(`ALTER USER IF EXISTS ${each} ${change}`))
      if (access === 'closed') await kill(run, admin, 'user', userOf(id))
    },
    async drop(run, id) {
      for (const each of await accounts(run, id))
        await asAdmin('DROP USER', admin, run(`DROP USER IF EXISTS ${each}`))
      await kill(run, admin, 'user', userOf(id))
    },
  }
}

/** Milliseconds that killed connections are waited for: one that rolls back takes its time. */
const PATIENCE = 10_000

/**
 * Ends the connections of a user, or in a database, but our own; resolves when the server has none left.
 *
 * @throws `provider_unavailable` when they do not end
 */
export async function kill(run: Run, admin: string, column: 'user' | 'db', value: string): Promise<void> {
  const until = Date.now() + PATIENCE
  for (let delay = 1; ; delay = Math.min(2 * delay, 100)) {
    const rows = await run(
      `SELECT id FROM information_schema.processlist WHERE ${column} = ? AND id <> CONNECTION_ID()`,
      [value],
    )
    if (rows.length === 0) return
    for (const { id, ID = id } of rows) {
      await asAdmin('KILL', admin, run(`KILL CONNECTION ${Number(ID)}`)).catch((error: unknown) => {
        // It has ended meanwhile.
        if (!isNumber(error, 1094)) throw error
      })
    }
    if (Date.now() > until)
      throw new TenancyError('provider_unavailable', 'The tenant’s connections do not end', { retryAfter: 5 })
    await new Promise((resolve) => setTimeout(resolve, delay))
  }
}
