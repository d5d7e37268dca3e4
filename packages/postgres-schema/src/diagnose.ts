import type { CallOptions } from '@tenantry/multi-tenancy/provider'
import { escapeLiteral } from 'pg'
import type { Server } from './connections/server.ts'
import type { Settings } from './options.ts'

/** What of each server's limits and settings does not fit so many tenants, in sentences. */
export async function diagnose(
  sites: readonly { readonly server: Server }[],
  settings: Settings,
  tenants: number,
  call: CallOptions,
): Promise<string[]> {
  const findings = await Promise.all(sites.map(({ server }) => inspect(server, settings, tenants, call)))
  return findings.flat()
}

async function inspect(
  server: Server,
  settings: Settings,
  tenants: number,
  call: CallOptions,
): Promise<string[]> {
  const { isolation, maxConnections } = settings
  const login = await server.login(call)
  const [limits, database] = await server.admin(
    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections, " +
      "current_setting('max_locks_per_transaction')::int AS locks, current_setting('password_encryption') AS encryption, " +
      "current_setting('max_prepared_transactions')::int AS prepared;" +
      "SELECT (SELECT count(*)::int FROM pg_catalog.pg_namespace WHERE obj_description(oid, 'pg_namespace') LIKE 'tenantry:%') AS schemas, " +
      "(SELECT has_schema_privilege('public', oid, 'USAGE') FROM pg_catalog.pg_namespace WHERE nspname = 'public') AS public, " +
      "EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'dblink') AS dblink, " +
      `(SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = ${escapeLiteral(login)}) AS super`,
    call,
  )
  const { connections, locks } = limits?.rows[0] ?? {}
  const { schemas, public: usage, dblink, super: superuser } = database?.rows[0] ?? {}
  const here = Math.max(schemas, settings.servers.size === 1 ? tenants : 0)
  const shared = isolation !== 'role'
  const findings: [boolean, string][] = [
    [maxConnections > connections, `maxConnections is ${maxConnections}, the server has ${connections} (max_connections)`],
    [here > 5_000, `${here} schemas in one database: catalogues and backups grow slow beyond some 5,000; use servers`],
    [locks < 64, `max_locks_per_transaction is ${locks}: dropping and dumping schemas needs 64 or more`],
    [shared && superuser === true, 'the statements of tenants run as a superuser: use serve.user with a login of fewer rights'],
    [isolation !== 'search_path' && usage === true, 'every role may use the schema public: REVOKE ALL ON SCHEMA public FROM PUBLIC'],
    [isolation !== 'search_path' && dblink === true, 'the extension dblink is installed: with a password it reaches any database'],
    [isolation === 'role' && here > connections * 20, `${here} tenants with roles of their own share ${connections} connections: most requests will log in again; set_role shares them`],
  ] // biome-ignore format: a table
  return findings.filter(([applies]) => applies).map(([, sentence]) => `server ${server.name}: ${sentence}`)
}
