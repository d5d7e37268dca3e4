import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import { type Statement, TenancyError } from '@tenantry/multi-tenancy/provider'
import { CompiledQuery, type Kysely } from 'kysely'
import { interceptKysely } from '../../src/wrappers/intercept-kysely.ts'
import type { Mistake, Provider } from './broken-provider.ts'

const SECRET = 'canary-4f1c0d9e'

/** Mistakes with statements, transactions, connections and errors. */
export const CLIENT_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'batch is declared as atomic and is not',
    fails: 'undoes the rows and tables of an atomic batch that fails',
    break: (intact) => ({
      ...intact,
      async batch(client, statements) {
        for (const statement of statements) await intact.query(client, statement)
      },
    }),
  },
  {
    mistake: 'batch continues after an error',
    fails: 'stops a batch at its first error and rejects it',
    capabilities: { transactionalDdl: false },
    break: (intact) => ({
      ...intact,
      async batch(client, statements) {
        const results = await Promise.allSettled(
          statements.map((statement) => intact.query(client, statement)),
        )
        for (const result of results) if (result.status === 'rejected') throw result.reason
      },
    }),
  },
  {
    mistake: 'large integers are converted to JavaScript numbers',
    fails: 'binds parameters of every type without changing their values',
    break: (intact) => ({
      ...intact,
      batch: (client, statements) => intact.batch(client, statements.map(roundIntegers)),
    }),
  },
  {
    mistake: 'large integers of a result are converted to JavaScript numbers',
    fails: 'returns an integer beyond 2^53 exactly, or rejects the query',
    break: (intact) => ({
      ...intact,
      async query(client, statement) {
        const exact = statement.sql.replace('SELECT big', 'SELECT CAST(big AS TEXT) AS big')
        const rows = await intact.query(client, { ...statement, sql: exact })
        return rows.map((row) => ('big' in row ? { ...row, big: Number(row.big) } : row))
      },
    }),
  },
  {
    mistake: 'placeholders are replaced in the text of the statement',
    fails: 'binds the parameters of a query and leaves a ? inside a literal alone',
    break: (intact) => ({
      ...intact,
      query: (client, statement) => intact.query(client, interpolate(statement)),
    }),
  },
  {
    mistake: 'a declared transaction runs its statements one by one',
    fails: 'commits all statements of a Kysely transaction or none',
    break: (intact) => ({
      ...intact,
      kysely: (client) =>
        interceptKysely(client, new Set(), async (member, _sql, run) =>
          member === 'kysely.query' ? run() : (undefined as never),
        ),
    }),
  },
  {
    mistake: 'all clients share the connection of the latest one',
    fails: 'keeps interleaved reads and writes of many tenants in two processes apart',
    break: (intact) => {
      let current: MemoryClient | undefined
      return {
        ...intact,
        async connect(target, options) {
          current = await intact.connect(target, options)
          return current
        },
        kysely: (client) => withCurrentClient(client, () => current ?? client),
      }
    },
  },
  {
    mistake: 'an evicted client is bound to the database of a later client',
    fails: 'keeps the adapters of an evicted tenant bound to their own database',
    break: (intact) => {
      const slots: MemoryClient[] = []
      let next = 0
      return {
        ...intact,
        kysely(client) {
          const slot = next++ % 2
          slots[slot] = client
          return withCurrentClient(client, () => slots[slot] ?? client)
        },
      }
    },
  },
  {
    mistake: 'a connection carries temporary tables from tenant to tenant',
    fails: 'passes no session state of one tenant to another tenant',
    break: (intact, server) => ({
      ...intact,
      kysely: (client) =>
        interceptKysely(client, new Set(), async (_member, sql, run) => {
          const value = await run()
          if (!/\bTEMP\b|\btemp\./.test(sql)) return value
          for (const other of server.values()) {
            if (other !== client) await other.executeQuery(CompiledQuery.raw(sql)).catch(() => {})
          }
          return value
        }),
    }),
  },
  {
    mistake: 'a connection with an open transaction counts as clean',
    fails: "commits a tenant's next write after the same tenant left a transaction open",
    break: (intact) => ({
      ...intact,
      kysely: (client) => withoutCleaning(client),
    }),
  },
  {
    mistake: 'the lock of another process is reported instead of awaited',
    fails: 'completes concurrent writes of two processes to one tenant',
    break: (intact, server) => ({
      ...intact,
      async batch(client, statements) {
        const writers = getWriters(server)
        if (writers.count > 0) throw new Error('database is locked')
        writers.count++
        // As long as a write takes on a disk.
        await new Promise((resolve) => setImmediate(resolve))
        try {
          await intact.batch(client, statements)
        } finally {
          writers.count--
        }
      },
    }),
  },
  {
    mistake: "SQL reaches another tenant's tables",
    fails: "rejects SQL of one tenant that reads or changes another tenant's database",
    declares: { hostileSql: (victim) => [[`SELECT * FROM "${victim}".notes`]] },
    break: (intact, server) => ({
      ...intact,
      kysely: (client) =>
        interceptKysely(client, new Set(), async (_member, sql, run) => {
          const victim = server.get(/^SELECT \* FROM "(.*)"\.notes$/.exec(sql)?.[1] ?? '')
          if (victim === undefined) return run()
          return (await victim.executeQuery(CompiledQuery.raw('SELECT * FROM notes'))) as never
        }),
    }),
  },
  {
    mistake: 'a client rejects every statement after its first error',
    fails: "rejects SQL of one tenant that reads or changes another tenant's database",
    declares: { hostileSql: (victim) => [[`SELECT * FROM "${victim}".notes`]] },
    break: (intact) => ({
      ...intact,
      kysely(client) {
        let failure: unknown
        return interceptKysely(client, new Set(), async (_member, _sql, run) => {
          if (failure !== undefined) throw failure
          return run().catch((error: unknown) => {
            failure = error
            throw error
          })
        })
      },
    }),
  },
  {
    mistake: 'mapError returns no specific code',
    fails: 'maps a driver error to a code, keeps it as the cause and leaves a TenancyError unchanged',
    break: (intact) => ({
      ...intact,
      mapError: (cause) => new TenancyError('internal', 'Something failed', { cause }),
    }),
  },
  {
    mistake: 'mapError shows the connection string',
    fails: 'shows no secret in an error',
    declares: { secrets: [SECRET] },
    break: (intact) => ({
      ...intact,
      mapError: (cause) =>
        new TenancyError('provider_rejected', `https://x?authToken=${SECRET} failed`, { cause }),
    }),
  },
  {
    mistake: 'a member uses this',
    fails: 'accepts unbound calls of its members and a second close',
    break: (intact) => ({
      ...intact,
      async find(this: Provider | undefined, name) {
        if (this === undefined) throw new TypeError('Cannot read properties of undefined')
        return intact.find(name, { signal: new AbortController().signal })
      },
    }),
  },
  {
    mistake: 'a second close throws',
    fails: 'accepts unbound calls of its members and a second close',
    break: (intact) => {
      let closed = false
      return {
        ...intact,
        async close() {
          if (closed) throw new Error('The pool is closed already')
          closed = true
        },
      }
    },
  },
]

/** Returns a Kysely that keeps a forgotten transaction: later statements run in it and are never committed. */
function withoutCleaning(client: MemoryClient): MemoryClient {
  let isForgotten = false
  return interceptKysely(client, new Set(), async (member, sql, run) => {
    if (member === 'kysely.query' && /^(?:BEGIN|SAVEPOINT)/.test(sql)) isForgotten = true
    if (isForgotten) return { rows: [] } as never
    return run()
  })
}

const writersByServer = new WeakMap<object, { count: number }>()

/** Returns the writers that are active on a server, of all its providers. */
function getWriters(server: object): { count: number } {
  const writers = writersByServer.get(server) ?? { count: 0 }
  writersByServer.set(server, writers)
  return writers
}

function roundIntegers({ sql, params = [] }: Statement): Statement {
  return { sql, params: params.map((value) => (typeof value === 'bigint' ? Number(value) : value)) }
}

function interpolate({ sql, params = [] }: Statement): Statement {
  const values = [...params]
  return {
    sql: sql.replace(/\?/g, () =>
      values.length === 0 ? '?' : `'${String(values.shift()).replaceAll("'", "''")}'`,
    ),
  }
}

/** Returns a Kysely that runs each statement on the client that `current` returns. */
function withCurrentClient(client: MemoryClient, current: () => MemoryClient): Kysely<any> {
  return new Proxy(client, {
    get(_target, key) {
      const now = current()
      const value = Reflect.get(now, key, now)
      return typeof value === 'function' ? value.bind(now) : value
    },
  })
}
