import {
  classifyConnectionError,
  createOrFind,
  createRedactor,
  HttpError,
  sqliteMigrationSql,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy/provider'
import { Kysely } from 'kysely'
import { createAccessMethods } from './access/access-methods.ts'
import { createTenantClients } from './access/tenant-clients.ts'
import type { D1Database } from './client/d1-database.ts'
import { checkStatementLimits } from './client/statement-limits.ts'
import { toBindable } from './client/values.ts'
import { createListing } from './control-plane/list.ts'
import { getRequestBudget } from './control-plane/request-budget.ts'
import { createRestApi } from './control-plane/rest-api.ts'
import { describeLimits } from './diagnose.ts'
import { createD1ErrorMap } from './errors.ts'
import { d1Kysely } from './kysely.ts'
import { parseLocator, toLocator } from './locator.ts'
import { type D1ProviderOptions, PLACEMENTS, parseOptions, toLocation } from './options.ts'

/** Cloudflare's code for a name that is taken. */
const NAME_TAKEN = 7502

/**
 * One Cloudflare D1 database for each tenant: for Workers, Node and every runtime with `fetch`.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createD1Provider({ accountId, apiToken, access: [{ kind: 'binding', env }, { kind: 'rest' }] })
 */
export function createD1Provider(options: D1ProviderOptions): TenantProvider<D1Database> {
  const settings = parseOptions(options)
  const { accountId, apiToken, baseUrl, rateLimit, pageSize, now } = settings
  const redactor = createRedactor()
  redactor.keep(apiToken)
  const errors = createD1ErrorMap(redactor)
  const rateGate = getRequestBudget(`${baseUrl} ${accountId} ${apiToken}`).createGate(rateLimit, now)
  const api = createRestApi({ ...settings, redactor, rateGate })
  const { methods, dispatch } = createAccessMethods(settings, api, redactor)
  let closed = false
  const clients = createTenantClients({ ...settings, api, methods, errors, isClosed: () => closed })
  const listDatabases = createListing({ api, workers: dispatch?.workers, pageSize })

  /** Gives every error of a member its code, and removes secrets. */
  function withErrorCodes<Arguments extends unknown[], Result>(
    member: (...args: Arguments) => Promise<Result>,
  ): (...args: Arguments) => Promise<Result> {
    return async (...args) => {
      if (closed) throw new TenancyError('closed', 'The provider was closed')
      try {
        return await member(...args)
      } catch (error) {
        throw errors.mapError(error)
      }
    }
  }

  return {
    name: 'd1',
    capabilities: { dialect: 'sqlite', transactions: false, transactionalDdl: true },
    migrationSql: sqliteMigrationSql,
    // Cloudflare advises fewer than 32 characters.
    naming: { maxLength: 31, separator: '_' },
    placements: PLACEMENTS,

    create: withErrorCodes(async (name, { placement, signal }) => {
      const location = placement === undefined ? settings.location : toLocation(placement)
      const { database, created } = await createOrFind({
        create: () => api.create(name, { location, readReplication: settings.readReplication }, signal),
        find: () => api.find(name, signal),
        isDuplicate: (error) => error instanceof HttpError && error.codes.includes(NAME_TAKEN),
      })
      // An existing database may be closed, and stays so.
      await (created
        ? dispatch?.workers.upload(database, 'open', signal)
        : dispatch?.workers.ensure(database, signal))
      return { locator: toLocator(database), created }
    }),
    find: withErrorCodes(async (name, { signal }) => {
      const database = await api.find(name, signal)
      return database && toLocator(database)
    }),
    drop: withErrorCodes(async (locator, { signal }) => {
      const database = parseLocator(locator)
      // The Worker first: no live binding is left to a deleted database.
      await dispatch?.workers.remove(database, signal)
      await api.delete(database.uuid, signal)
    }),
    ...(dispatch && {
      setAccess: withErrorCodes(async (locator, access, { signal }) => {
        const database = parseLocator(locator)
        if (!(await api.exists(database.uuid, signal))) throw classifyConnectionError(undefined)
        await dispatch.workers.upload(database, access, signal)
      }),
    }),
    list: withErrorCodes((query, { signal }) => listDatabases(query, signal)),

    connect: withErrorCodes((target) => clients.connect(parseLocator(target.locator), target)),
    async query(client, { sql, params = [] }) {
      checkStatementLimits([{ sql, params }])
      return (await prepare(client, sql, params).all()).results
    },
    async batch(client, statements) {
      checkStatementLimits(statements)
      if (statements.length === 0) return
      await client.batch(statements.map(({ sql, params = [] }) => prepare(client, sql, params)))
    },
    kysely: (client) => new Kysely<any>({ dialect: d1Kysely(client) }),
    ...(settings.onRestorePoint && { beforeMigrate: withErrorCodes(clients.beforeMigrate) }),
    mapError: errors.mapError,
    async diagnose({ tenants }) {
      const kinds = methods.map(({ kind }) => kind)
      return describeLimits(tenants, kinds)
    },
    async close() {
      closed = true
    },
  }
}

function prepare(
  client: D1Database,
  text: string,
  values: readonly unknown[],
): ReturnType<D1Database['prepare']> {
  const { sql, params } = toBindable(text, values)
  const statement = client.prepare(sql)
  return params.length === 0 ? statement : statement.bind(...params)
}
