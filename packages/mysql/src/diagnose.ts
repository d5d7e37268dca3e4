import type { CallOptions } from '@tenantry/multi-tenancy/provider'
import type { Run, Server } from './connections/server.ts'
import { requireStrictMode } from './connections/sql-mode.ts'
import type { Databases } from './control-plane/databases.ts'
import type { Settings } from './options.ts'

interface Site {
  readonly server: Server
  readonly databases: Databases
}

/** What of each server's limits and settings does not fit so many tenants, in sentences. */
export async function diagnose(
  sites: readonly Site[],
  settings: Settings,
  tenants: number,
  call: CallOptions,
): Promise<string[]> {
  const findings = await Promise.all(
    sites.map((site) => site.server.administer(call, (run) => inspect(run, site, settings, tenants))),
  )
  return findings.flat()
}

async function inspect(
  run: Run,
  { server, databases }: Site,
  settings: Settings,
  tenants: number,
): Promise<string[]> {
  const { isolation, maxConnections } = settings
  const has = await variables(run)
  const { count, tables } = await fleet(run, databases.registry.table)
  const here = Math.max(count, settings.servers.size === 1 ? tenants : 0)
  const files = here * Math.max(tables, 1)
  const open = isolation === 'user' ? await openToAll(run) : undefined
  const limit = (name: string): number => Number(has[name] ?? Number.POSITIVE_INFINITY)
  const small = (name: string): [boolean, string] => [
    limit(name) < files,
    `${name} is ${has[name]}, ${here} tenants with ${tables} tables each have ${files}: tables are opened and closed all the time`,
  ]
  const findings: [boolean, string][] = [
    small('table_open_cache'),
    small('innodb_open_files'),
    small('open_files_limit'),
    [maxConnections > limit('max_connections'), `maxConnections is ${maxConnections}, the server has ${has.max_connections} (max_connections)`],
    [limit('max_user_connections') > 0 && settings.maxConnectionsPerTenant > limit('max_user_connections'), `maxConnectionsPerTenant is ${settings.maxConnectionsPerTenant}, a user may have ${has.max_user_connections} (max_user_connections)`],
    [Number(has.lower_case_table_names) !== 0, `lower_case_table_names is ${has.lower_case_table_names}: names of tables are folded here, and databases move to no server with another value`],
    [requireStrictMode(String(has.sql_mode ?? '')).statement !== undefined, `sql_mode is ${JSON.stringify(has.sql_mode)}: each session of ours costs a statement more to be strict`],
    [open !== undefined, `any user may use databases named like ${open}: DELETE FROM mysql.db WHERE User IN ('', 'PUBLIC'); FLUSH PRIVILEGES`],
  ] // biome-ignore format: a table
  return findings.filter(([applies]) => applies).map(([, sentence]) => `server ${server.name}: ${sentence}`)
}

const VARIABLES = [
  'table_open_cache', 'innodb_open_files', 'open_files_limit', 'max_connections', 'max_user_connections',
  'lower_case_table_names', 'sql_mode',
] // biome-ignore format: one list

async function variables(run: Run): Promise<Record<string, string>> {
  const rows = await run(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${VARIABLES.map(() => '?').join(', ')})`,
    VARIABLES,
  )
  return Object.fromEntries(rows.map((row) => [String(row.Variable_name), String(row.Value)]))
}

/** How many databases are ours, and how many tables the newest name of them has: asking for all would open all. */
async function fleet(run: Run, table: string): Promise<{ count: number; tables: number }> {
  const [row] = await run(`SELECT count(*) AS count, max(name) AS name FROM ${table}`).catch(() => [])
  if (row?.name == null) return { count: 0, tables: 1 }
  const [one] = await run('SELECT count(*) AS tables FROM information_schema.tables WHERE table_schema = ?', [
    row.name,
  ])
  return { count: Number(row.count), tables: Number(one?.tables) }
}

async function openToAll(run: Run): Promise<string | undefined> {
  const [row] = await run("SELECT Db FROM mysql.db WHERE User IN ('', 'PUBLIC') LIMIT 1").catch(() => [])
  return row && String(row.Db)
}
