import { type Statement, TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import { CompiledQuery, type Kysely } from 'kysely'
import { interceptKysely } from '../../src/wrappers/intercept-kysely.ts'
import type { Mistake, Provider } from './broken-provider.ts'

const SECRET = 'canary-4f1c0d9e'

/** Mistakes with clients: statements, transactions, connections, errors. */
export const CLIENT_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'batch is not atomic, though declared',
    fails: 'batch is atomic: a late error undoes rows and tables made before it',
    break: (intact) => ({
      ...intact,
      async batch(client, statements) {
        for (const statement of statements) await intact.query(client, statement)
      },
    }),
  },
  {
    mistake: 'batch goes on after an error',
    fails: 'batch stops at its first error and rejects',
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
    mistake: 'large integers go through a JavaScript number',
    fails: 'parameters of every kind arrive as they are',
    break: (intact) => ({
      ...intact,
      batch: (client, statements) => intact.batch(client, statements.map(rounded)),
    }),
  },
  {
    mistake: 'placeholders are replaced in the text',
    fails: 'query takes parameters too, and a ? inside a literal is no placeholder',
    break: (intact) => ({
      ...intact,
      query: (client, statement) => intact.query(client, interpolated(statement)),
    }),
  },
  {
    mistake: 'transactions are declared, and run one statement after the other',
    fails: 'a Kysely transaction commits all of its work or none',
    break: (intact) => ({
      ...intact,
      kysely: (client) =>
        interceptKysely(client, new Set(), async (member, _sql, run) =>
          member === 'kysely.query' ? run() : (undefined as never),
        ),
    }),
  },
  {
    mistake: 'one connection for all: a client follows whoever connected last',
    fails: 'reads and writes of many tenants, interleaved through two processes, stay apart',
    break: (intact) => {
      let current: MemoryClient | undefined
      return {
        ...intact,
        async connect(target, options) {
          current = await intact.connect(target, options)
          return current
        },
        kysely: (client) => following(client, () => current ?? client),
      }
    },
  },
  {
    mistake: 'an evicted client is bound to its successor’s database',
    fails: 'adapters kept over an eviction still lead to their own tenant',
    break: (intact) => {
      const slots: MemoryClient[] = []
      let next = 0
      return {
        ...intact,
        kysely(client) {
          const slot = next++ % 2
          slots[slot] = client
          return following(client, () => slots[slot] ?? client)
        },
      }
    },
  },
  {
    mistake: 'a connection carries temporary tables from tenant to tenant',
    fails: 'what one tenant’s session leaves behind does not show in another’s',
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
    mistake: 'SQL may name another tenant’s tables',
    fails: 'SQL of one tenant can neither read nor change another’s database',
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
    mistake: 'mapError drops the codes',
    fails: 'mapError codes what the driver throws, keeps its cause, and leaves a TenancyError alone',
    break: (intact) => ({
      ...intact,
      mapError: (cause) => new TenancyError('internal', 'Something failed', { cause }),
    }),
  },
  {
    mistake: 'mapError shows the connection string',
    fails: 'no secret shows in an error',
    declares: { secrets: [SECRET] },
    break: (intact) => ({
      ...intact,
      mapError: (cause) =>
        new TenancyError('provider_rejected', `https://x?authToken=${SECRET} failed`, { cause }),
    }),
  },
  {
    mistake: 'members use this',
    fails: 'members work unbound, and close may be called twice',
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
    fails: 'members work unbound, and close may be called twice',
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

function rounded({ sql, params = [] }: Statement): Statement {
  return { sql, params: params.map((value) => (typeof value === 'bigint' ? Number(value) : value)) }
}

function interpolated({ sql, params = [] }: Statement): Statement {
  const values = [...params]
  return {
    sql: sql.replace(/\?/g, () =>
      values.length === 0 ? '?' : `'${String(values.shift()).replaceAll("'", "''")}'`,
    ),
  }
}

/** A Kysely that runs each statement on whatever client `current` says. */
function following(client: MemoryClient, current: () => MemoryClient): Kysely<any> {
  return new Proxy(client, {
    get(_target, key) {
      const now = current()
      const value = Reflect.get(now, key, now)
      return typeof value === 'function' ? value.bind(now) : value
    },
  })
}
