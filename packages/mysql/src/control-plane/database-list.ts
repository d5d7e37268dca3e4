import type { CallOptions, ListedDatabase } from '@tenantry/multi-tenancy/provider'
import type { Run, Server } from '../connections/server.ts'
import { isNumber } from '../errors.ts'
import { isName, parseUserName, toLocator } from '../locator.ts'
import type { Settings } from '../options.ts'
import { asAdmin } from './privileges.ts'
import type { Registry } from './registry.ts'

const PAGE = 500
/** No such database, no such table. */
const MISSING = [1049, 1146]

export interface DatabaseListOptions extends Pick<Settings, 'isolation' | 'userHost'> {
  readonly server: Server
  readonly registry: Registry
}

type ListDatabases = (
  query: { prefix: string; after: string },
  call: CallOptions,
) => Promise<{ databases: ListedDatabase[]; last: string | undefined }>

/** Lists the registry's databases in pages. The first page also has users whose row in the registry is gone. */
export function createDatabaseList({
  server,
  registry,
  isolation,
  userHost,
}: DatabaseListOptions): ListDatabases {
  const locate = (database: string, id: string) => toLocator({ server: server.name, database, id })

  async function listOrphanedUsers(run: Run, prefix: string): Promise<ListedDatabase[]> {
    const rows = await asAdmin(
      'SHOW GRANTS',
      server.admin,
      run("SELECT User, Db FROM mysql.db WHERE Host = ? AND User LIKE 'tenantry\\\\_%'", [userHost]),
    )
    const users = rows.flatMap(({ User, Db }) => {
      const [name, id] = [String(Db).replace(/\\(.)/g, '$1'), parseUserName(User)]
      return name.startsWith(prefix) && isName(name) && id !== undefined ? [{ name, id }] : []
    })
    if (users.length === 0) return []
    const known = await run(`SELECT id FROM ${registry.table}`).catch(() => [])
    const ids = new Set(known.map(({ id }) => String(id)))
    return users
      .filter(({ id }) => !ids.has(id))
      .map(({ name, id }) => ({ name, locator: locate(name, id), leftover: 'user' }))
  }

  return ({ prefix, after }, call) =>
    server.administer(call, async (run) => {
      const pattern = `${prefix.replace(/[\\_%]/g, '\\$&')}%`
      const rows = await run(
        `SELECT name, id FROM ${registry.table} WHERE name LIKE ? AND name > ? ORDER BY name LIMIT ${PAGE}`,
        [pattern, after],
      ).catch((error: unknown) => {
        if (isNumber(error, ...MISSING)) return []
        throw error
      })
      const existing = new Set(
        (await run('SHOW DATABASES LIKE ?', [pattern])).map((row) => String(Object.values(row)[0])),
      )
      const databases = rows.map((row): ListedDatabase => {
        const [name, id] = [String(row.name), String(row.id)]
        const locator = locate(name, id)
        if (existing.has(name)) return { name, locator }
        return { name, locator, leftover: isolation === 'user' ? 'user' : 'entry' }
      })
      if (after === '' && isolation === 'user') databases.push(...(await listOrphanedUsers(run, prefix)))
      return { databases, last: rows.length === PAGE ? String(rows.at(-1)?.name) : undefined }
    })
}
