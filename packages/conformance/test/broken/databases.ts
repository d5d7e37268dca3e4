import { TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import type { Mistake } from './broken-provider.ts'

const MISSING = 'rejects a connection to a database that no longer exists, and creates none'
const LIST = 'lists every page of a prefix and no name outside it'

/** Mistakes with `create`, `find`, `drop`, `list` and `connect`. */
export const DATABASE_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'find matches by prefix',
    fails: 'finds a database by its exact name only',
    break: (intact, server) => ({
      ...intact,
      async find(name) {
        const match = [...server.keys()].find((each) => each.startsWith(name))
        return match === undefined ? undefined : { name: match }
      },
    }),
  },
  {
    mistake: 'create reports an existing database as created',
    fails: 'reports a database as created the first time and as existing afterwards',
    break: (intact) => ({
      ...intact,
      create: async (name, options) => ({ ...(await intact.create(name, options)), created: true }),
    }),
  },
  {
    mistake: 'create checks for the database before it creates it',
    fails: 'creates one database for concurrent calls with one name, and reports it as created at most once',
    break: (intact, server) => ({
      ...intact,
      async create(name, options) {
        const created = !server.has(name)
        await Promise.resolve()
        return { ...(await intact.create(name, options)), created }
      },
    }),
  },
  {
    mistake: 'connect falls back to another database',
    fails: MISSING,
    break: (intact, server) => ({
      ...intact,
      connect: (target, options) =>
        intact.connect(target, options).catch((error: unknown) => {
          const [fallback] = server.values()
          if (fallback === undefined) throw error
          return fallback
        }),
    }),
  },
  {
    mistake: 'connect creates a missing database',
    fails: MISSING,
    break: (intact) => ({
      ...intact,
      async connect(target, options) {
        await intact.create(String(target.locator.name), options)
        return intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'drop resolves before the database is gone',
    fails: 'has removed the database, and no other, when drop resolves',
    break: (intact) => ({
      ...intact,
      async drop(locator, options) {
        setImmediate(() => void intact.drop(locator, options))
      },
    }),
  },
  {
    mistake: 'drop removes every database whose name starts with the name',
    fails: 'has removed the database, and no other, when drop resolves',
    break: (intact, server) => ({
      ...intact,
      async drop(locator) {
        for (const name of server.keys()) if (name.startsWith(String(locator.name))) server.delete(name)
      },
    }),
  },
  {
    mistake: 'drop of a missing database throws',
    fails: 'succeeds when it drops a database that no longer exists, in any process',
    break: (intact, server) => ({
      ...intact,
      async drop(locator, options) {
        if (!server.has(String(locator.name))) throw new TenancyError('tenant_not_found', 'Nothing to drop')
        await intact.drop(locator, options)
      },
    }),
  },
  {
    mistake: 'drop leaves clients of the database usable',
    fails: 'rejects every use of a client whose database was dropped, and does not recreate the database',
    break: (intact, server) => ({
      ...intact,
      // The server's own clients do not check whether their database exists.
      connect: async (target, options) =>
        server.get(String(target.locator.name)) ?? intact.connect(target, options),
      async drop(locator) {
        server.delete(String(locator.name))
      },
    }),
  },
  {
    mistake: 'a client does not report a dropped database',
    fails: 'calls onDatabaseGone when a client in use finds that its database was dropped',
    break: (intact) => ({
      ...intact,
      connect: ({ onDatabaseGone: _, ...target }, options) => intact.connect(target, options),
    }),
  },
  {
    mistake: 'a client does not report a database that replaced its own',
    fails: 'calls onDatabaseGone when a client in use finds another database of the same name',
    break: (intact, server) => ({
      ...intact,
      connect: ({ onDatabaseGone, ...target }, options) =>
        intact.connect(
          { ...target, onDatabaseGone: () => server.has(String(target.locator.name)) || onDatabaseGone?.() },
          options,
        ),
    }),
  },
  {
    mistake: 'every failed statement is reported as a lost database',
    fails: 'does not call onDatabaseGone for a failed statement or a closed database',
    break: (intact) => {
      const reports = new WeakMap<MemoryClient, () => void>()
      return {
        ...intact,
        async connect(target, options) {
          const client = await intact.connect(target, options)
          reports.set(client, () => target.onDatabaseGone?.())
          return client
        },
        query: (client, statement) =>
          intact.query(client, statement).catch((error: unknown) => {
            reports.get(client)?.()
            throw error
          }),
      }
    },
  },
  {
    mistake: 'clients are cached by name beyond a drop',
    fails: 'creates an empty database under the name of a dropped one',
    break: (intact, server) => {
      const clients = new Map<string, MemoryClient>()
      return {
        ...intact,
        async connect(target, options) {
          const name = String(target.locator.name)
          const client = clients.get(name) ?? server.get(name) ?? (await intact.connect(target, options))
          clients.set(name, client)
          return client
        },
        async drop(locator) {
          server.delete(String(locator.name))
        },
      }
    },
  },
  {
    mistake: 'list omits the last page',
    fails: LIST,
    break: (intact) => ({
      ...intact,
      async list({ prefix, cursor = '0' }, options) {
        const { databases } = await intact.list({ prefix }, options)
        const next = Number(cursor) + 5
        const more = next + 5 < databases.length ? { cursor: String(next) } : {}
        return { databases: databases.slice(next - 5, next), ...more }
      },
    }),
  },
  {
    mistake: 'list treats the prefix as a LIKE pattern',
    fails: LIST,
    break: (intact, server) => ({
      ...intact,
      async list({ prefix }) {
        const like = new RegExp(`^${prefix.replaceAll('-', '[-_]')}`)
        const names = [...server.keys()].filter((name) => like.test(name))
        return { databases: names.map((name) => ({ name, locator: { name } })) }
      },
    }),
  },
  {
    mistake: 'names are silently truncated',
    fails: 'stores every database under exactly the name it receives',
    break: (intact) => ({
      ...intact,
      create: (name, options) => intact.create(name.slice(0, 40), options),
      find: (name, options) => intact.find(name.slice(0, 40), options),
    }),
  },
  {
    mistake: 'create rejects an existing database',
    fails: 'recovers from a lost reply at every call of provision',
    break: (intact, server) => ({
      ...intact,
      async create(name, options) {
        if (server.has(name)) throw new TenancyError('conflict', 'The database exists already')
        return intact.create(name, options)
      },
    }),
  },
  {
    mistake: 'find throws for a missing database',
    fails: 'reports tenant_not_found for an unknown tenant and creates nothing',
    break: (intact, server) => ({
      ...intact,
      async find(name, options) {
        if (!server.has(name)) throw new TenancyError('provider_rejected', '404')
        return intact.find(name, options)
      },
    }),
  },
]
