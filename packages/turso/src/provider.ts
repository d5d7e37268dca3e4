import type { Client } from '@libsql/client/web'
import {
  type ConnectTarget,
  createRedactor,
  sqliteMigrationSql,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import { createTursoClient } from './client/libsql-client.ts'
import { createHostCheck } from './control-plane/allowed-hosts.ts'
import { createTursoDatabases } from './control-plane/databases.ts'
import { createPlatformApi } from './control-plane/platform-api.ts'
import { createTokenStore } from './control-plane/tokens.ts'
import { createTursoErrors } from './errors.ts'
import { libsqlKysely } from './kysely.ts'
import { getDriverClient, withIntMode } from './libsql/int-mode.ts'
import { toBound, toCoreRows } from './libsql/values.ts'
import { parseLocator, type TursoDatabase, toLocator } from './locator.ts'
import { resolveTursoOptions, type TursoProviderOptions } from './options.ts'

/**
 * A Turso database for each tenant, over HTTP: for Workers, Node and every runtime with `fetch`.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createTursoProvider({ organizationName: 'acme-inc', apiToken })
 */
export function createTursoProvider(options: TursoProviderOptions): TenantProvider<Client> {
  const settings = resolveTursoOptions(options)
  const { organizationName, apiToken, group, tokenLifetime, requestTimeout, environment } = settings
  const { now, sleep, runtime } = environment
  const redactor = createRedactor()
  redactor.keep(apiToken)
  const errors = createTursoErrors(redactor)
  const checkHost = createHostCheck(settings.allowedHosts)
  const api = createPlatformApi({ ...settings, checkHost, redactor, now })
  const tokens = createTokenStore({ api, redactor, lifetime: tokenLifetime, shared: runtime === 'node', now })
  const groups = [...new Set([group, ...settings.groups])]
  const ping = async (database: TursoDatabase): Promise<void> => {
    await createClient(database).execute('SELECT 1')
  }
  const databases = createTursoDatabases({ api, tokens, groups, ping, sleep })
  let closed = false

  function createClient(
    database: TursoDatabase,
    use: Pick<ConnectTarget, 'beforeUse' | 'onDatabaseGone'> = {},
  ): Client {
    return createTursoClient({
      ...{ ...settings, ...use, database, tokens, errors, redactor, now },
      isProviderClosed: () => closed,
      isDatabaseClosed: () => api.isClosed(database.name, AbortSignal.timeout(requestTimeout)),
    })
  }

  /** Maps what the member throws to coded errors without secrets. */
  function withErrorMap<Arguments extends unknown[], Result>(
    member: (...args: Arguments) => Promise<Result>,
  ): (...args: Arguments) => Promise<Result> {
    return (...args) =>
      member(...args).catch((error: unknown) => {
        throw errors.mapError(error)
      })
  }

  return {
    name: 'turso',
    capabilities: { dialect: 'sqlite', transactions: true, transactionalDdl: true },
    migrationSql: sqliteMigrationSql,
    // `{name}-{organization}` is one DNS label: https://github.com/tursodatabase/turso-cli/issues/1013
    naming: { maxLength: 62 - organizationName.length, separator: '-' },
    placements: groups,

    create: withErrorMap(async (name, { signal, placement }) => {
      const { database, created } = await databases.create(name, placement ?? group, signal)
      return { locator: toLocator(database), created }
    }),
    find: withErrorMap(async (name, { signal }) => {
      const database = await api.get(name, signal)
      return database && toLocator(database)
    }),
    drop: withErrorMap(async (locator, { signal }) =>
      databases.drop(parseLocator(locator, checkHost), signal),
    ),
    setAccess: withErrorMap(async (locator, access, { signal }) =>
      databases.setAccess(parseLocator(locator, checkHost), access, signal),
    ),
    list: withErrorMap((query, { signal }) => databases.list(query, signal)),

    connect: withErrorMap(async ({ locator, beforeUse, onDatabaseGone = () => {} }, { signal }) => {
      const database = parseLocator(locator, checkHost)
      await tokens.get(database, signal)
      const client = createClient(database, { ...(beforeUse && { beforeUse }), onDatabaseGone })
      return withIntMode(client, settings.intMode)
    }),
    async query(client, { sql, params = [] }) {
      return toCoreRows(await getDriverClient(client).execute({ sql, args: params.map(toBound) }))
    },
    async batch(client, statements) {
      const plain = statements.map(({ sql, params = [] }) => ({ sql, args: params.map(toBound) }))
      if (plain.length > 0) await client.batch(plain, 'write')
    },
    async batchWithoutForeignKeys(client, statements) {
      await client.migrate(statements.map(({ sql, params = [] }) => ({ sql, args: params.map(toBound) })))
    },
    kysely: (client) => new Kysely<any>({ dialect: libsqlKysely(client) }),
    mapError: errors.mapError,
    async close() {
      closed = true
    },
  }
}
