import {
  classifyConnectionError,
  createRedactor,
  type Locator,
  TenancyError,
  type TenantProvider,
} from '@tenantry/multi-tenancy'
import { Kysely } from 'kysely'
import { createRungs } from './access/access-methods.ts'
import { createClients } from './access/connect.ts'
import type { D1Database } from './client/d1-database.ts'
import { toBindable } from './client/values.ts'
import { createListing } from './control-plane/list.ts'
import { budgetOf } from './control-plane/request-budget.ts'
import { createD1Api, type KnownD1 } from './control-plane/rest-api.ts'
import { ApiError, isAmbiguous } from './control-plane/strict-fetch.ts'
import { checkLimits, limitsOf } from './diagnose.ts'
import { d1Errors } from './errors.ts'
import { d1Kysely } from './kysely.ts'
import { type D1ProviderOptions, d1Settings, PLACEMENTS, placeOf } from './options.ts'

/** Cloudflare's code for a name that is taken. */
const TAKEN = 7502

/**
 * A Cloudflare D1 database per tenant: for Workers, Node and every runtime with `fetch`.
 *
 * @throws `config_invalid`, naming the option
 * @example
 * const provider = createD1Provider({ accountId, apiToken, access: [{ kind: 'binding', env }, { kind: 'rest' }] })
 */
export function createD1Provider(options: D1ProviderOptions): TenantProvider<D1Database> {
  const settings = d1Settings(options)
  const { accountId, apiToken, baseUrl, place, readReplication, pageSize, onRestorePoint } = settings
  const redactor = createRedactor()
  redactor.keep(apiToken)
  const errors = d1Errors(redactor)
  const api = createD1Api({ ...settings, budget: budgetOf(`${baseUrl} ${accountId} ${apiToken}`) })
  const { rungs, dispatch } = createRungs(settings, api, redactor)
  let closed = false
  const clients = createClients({ ...settings, api, rungs, errors, isClosed: () => closed })
  const listing = createListing({ api, workers: dispatch?.workers, pageSize })

  async function createOrFind(
    name: string,
    placement: string | undefined,
    signal: AbortSignal,
  ): Promise<{ database: KnownD1; created: boolean }> {
    const wanted = { place: placement === undefined ? place : placeOf(placement), readReplication }
    try {
      return { database: await api.create(name, wanted, signal), created: true }
    } catch (error) {
      // Taken, or nobody knows: what is there now decides, before anything is sent again. Whose it is says its stamp.
      const taken = error instanceof ApiError && error.codes.includes(TAKEN)
      if (!taken && !isAmbiguous(error)) throw error
      const database = await api.find(name, signal)
      if (database !== undefined) return { database, created: false }
      if (!taken) throw error
      throw new TenancyError('provider_unavailable', 'The name is not available yet', { retryAfter: 2 })
    }
  }

  /** Every error leaves with its code and without secrets. */
  function coded<Arguments extends unknown[], Result>(
    member: (...args: Arguments) => Promise<Result>,
  ): (...args: Arguments) => Promise<Result> {
    return async (...args) => {
      if (closed) throw new TenancyError('closed', 'The provider was closed')
      return member(...args).catch((error: unknown) => {
        throw errors.mapError(error)
      })
    }
  }

  return {
    name: 'd1',
    capabilities: { dialect: 'sqlite', transactions: false, transactionalDdl: true },
    // The documentation advises fewer than 32 characters.
    naming: { maxLength: 31, separator: '_' },
    placements: PLACEMENTS,

    create: coded(async (name, { placement, signal }) => {
      const { database, created } = await createOrFind(name, placement, signal)
      // One that was there may be shut, and stays so.
      await (created
        ? dispatch?.workers.upload(database, 'open', signal)
        : dispatch?.workers.ensure(database, signal))
      return { locator: { ...database }, created }
    }),
    find: coded(async (name, { signal }) => {
      const database = await api.find(name, signal)
      return database && { ...database }
    }),
    drop: coded(async (locator, { signal }) => {
      const database = databaseOf(locator)
      // The Worker first: no live binding points at a deleted database.
      await dispatch?.workers.remove(database, signal)
      await api.delete(database.uuid, signal)
    }),
    ...(dispatch && {
      setAccess: coded(async (locator, access, { signal }) => {
        const database = databaseOf(locator)
        if (!(await api.exists(database.uuid, signal))) {
          throw classifyConnectionError(undefined)
        }
        await dispatch.workers.upload(database, access, signal)
      }),
    }),
    list: coded((query, { signal }) => listing(query, signal)),

    connect: coded((target) => clients.connect(databaseOf(target.locator), target)),
    async query(client, { sql, params = [] }) {
      checkLimits([{ sql, params }])
      return (await prepare(client, sql, params).all()).results
    },
    async batch(client, statements) {
      checkLimits(statements)
      if (statements.length === 0) return
      await client.batch(statements.map(({ sql, params = [] }) => prepare(client, sql, params)))
    },
    kysely: (client) => new Kysely<any>({ dialect: d1Kysely(client) }),
    ...(onRestorePoint && { beforeMigrate: coded(clients.beforeMigrate) }),
    mapError: errors.mapError,
    diagnose: async ({ tenants }) =>
      limitsOf(
        tenants,
        rungs.map(({ kind }) => kind),
      ),
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

/** The locator as it was returned; its text is checked again before it gets into any path. */
function databaseOf({ name, uuid }: Locator): KnownD1 {
  if (typeof name === 'string' && typeof uuid === 'string') return { name, uuid }
  throw new TenancyError('internal', 'The locator is not one of a D1 database')
}
