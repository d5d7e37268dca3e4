import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { ConnectTarget, ListedDatabase, Locator, TenantProvider } from '../../src/contract.ts'
import { TenancyError } from '../../src/errors.ts'
import { createMemoryProvider, createMemoryServer, type MemoryServer } from '../../src/memory/index.ts'

/** What a provider's calls go through in one process: to fail, stand still, die. */
export type Around = <Value>(member: string, run: () => Promise<Value>) => Promise<Value>

/** A database service that all processes of a test reach, and the test looks into. */
export interface TestService {
  readonly databases: MemoryServer
  /** Databases whose connections are ended and credentials void. */
  readonly closed: Set<string>
  /** Roles, users, scripts without a database, as `list` shows them. */
  readonly remains: ListedDatabase[]
  /** Every call that reached the service. */
  readonly calls: string[]
  /** The rows of a statement in the database of this name. */
  rows(name: string, statement: string): Promise<Record<string, unknown>[]>
  provider(around?: Around): TenantProvider<Kysely<any>>
}

const direct: Around = (_member, run) => run()

/** Databases in memory, whose clients ask `admit` before each use and obey `setAccess`. */
export function createService({ pageSize = 100 }: { pageSize?: number } = {}): TestService {
  const databases = createMemoryServer()
  const closed = new Set<string>()
  const remains: ListedDatabase[] = []
  const calls: string[] = []
  const base = createMemoryProvider(databases)

  function provider(around: Around = direct): TenantProvider<Kysely<any>> {
    const call = <Value>(member: string, run: () => Promise<Value>): Promise<Value> =>
      around(member, async () => {
        calls.push(member)
        return run()
      })
    return {
      ...base,
      create: (name, options) => call(`create ${name}`, () => base.create(name, options)),
      find: (name, options) => call(`find ${name}`, () => base.find(name, options)),
      drop: (locator, options) =>
        call(`drop ${locator.name}`, async () => {
          await base.drop(locator, options)
          closed.delete(String(locator.name))
          const left = remains.findIndex(({ name }) => name === locator.name)
          if (left >= 0) remains.splice(left, 1)
        }),
      setAccess: (locator, access) =>
        call(`${access} ${locator.name}`, async () => {
          if (!databases.has(String(locator.name))) throw missing()
          if (access === 'closed') closed.add(String(locator.name))
          else closed.delete(String(locator.name))
        }),
      list: ({ prefix, cursor = '' }) =>
        call(`list ${prefix} ${cursor}`, async () => {
          const all: ListedDatabase[] = [...databases.keys()].map((name) => ({ name, locator: { name } }))
          const found = [...all, ...remains].filter(({ name }) => name.startsWith(prefix) && name > cursor)
          found.sort((a, b) => (a.name < b.name ? -1 : 1))
          const page = found.slice(0, pageSize)
          const last = found.length > pageSize ? page.at(-1)?.name : undefined
          return { databases: page, ...(last !== undefined && { cursor: last }) }
        }),
      connect: (target) =>
        call(`connect ${target.locator.name}`, async () => {
          usable(target.locator)
          const client = bound(target)
          await target.verify(async (statement) => base.query(usable(target.locator), statement))
          return client
        }),
      query: (client, statement) =>
        call(`query ${statement.sql.slice(0, 40)}`, () => base.query(client, statement)),
      batch: (client, statements) => call('batch', () => base.batch(client, statements)),
      mapError(cause) {
        return cause instanceof Error && /^killed/.test(cause.message)
          ? new TenancyError('provider_rejected', cause.message, { cause })
          : base.mapError(cause)
      },
    }
  }

  function usable({ name }: Locator): Kysely<any> {
    const database = databases.get(String(name))
    if (database === undefined) throw missing()
    if (closed.has(String(name))) {
      throw new TenancyError('credentials_rejected', 'The database is closed')
    }
    return database
  }

  /** A client without connections of its own: each use leases the database, and is admitted first. */
  function bound({ locator, admit }: ConnectTarget): Kysely<any> {
    const release = new WeakMap<DatabaseConnection, () => void>()
    const run = async (connection: DatabaseConnection, sql: string) =>
      void (await connection.executeQuery(CompiledQuery.raw(sql)))
    const driver: Driver = {
      init: async () => {},
      async acquireConnection() {
        await admit?.()
        const database = usable(locator)
        return new Promise((resolve, reject) => {
          database
            .connection()
            .execute(async (leased) => {
              const connection: DatabaseConnection = {
                executeQuery: (query) => leased.executeQuery(query) as never,
                // biome-ignore lint/correctness/useYield: nothing is streamed here
                async *streamQuery() {
                  throw new Error('not needed')
                },
              }
              await new Promise<void>((done) => {
                release.set(connection, done)
                resolve(connection)
              })
            })
            .catch(reject)
        })
      },
      beginTransaction: (connection) => run(connection, 'begin'),
      commitTransaction: (connection) => run(connection, 'commit'),
      rollbackTransaction: (connection) => run(connection, 'rollback'),
      async releaseConnection(connection) {
        release.get(connection)?.()
      },
      destroy: async () => {},
    }
    return new Kysely<any>({
      dialect: {
        // Otherwise Kysely keeps its lock when `acquireConnection` throws, and whoever comes next waits for ever.
        createAdapter: () =>
          Object.defineProperty(new SqliteAdapter(), 'supportsMultipleConnections', { value: true }),
        createDriver: () => driver,
        createIntrospector: (db) => new SqliteIntrospector(db),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    })
  }

  return {
    databases,
    closed,
    remains,
    calls,
    provider,
    async rows(name, statement) {
      const database = databases.get(name)
      if (database === undefined) throw new Error(`There is no database ${name}`)
      return (await database.executeQuery<Record<string, unknown>>(CompiledQuery.raw(statement))).rows
    },
  }
}

function missing(): TenancyError {
  return new TenancyError('tenant_not_found', 'The database does not exist')
}
