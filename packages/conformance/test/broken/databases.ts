import { TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import type { Mistake } from './broken-provider.ts'

const GONE = 'connect to what is gone fails with a code, and makes nothing'
const LIST = 'list goes through every page and keeps to the exact prefix'

/** Mistakes with databases: make, find, delete, list, connect. */
export const DATABASE_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'find matches by prefix',
    fails: 'find knows the exact name only',
    break: (intact, server) => ({
      ...intact,
      async find(name) {
        const found = [...server.keys()].find((each) => each.startsWith(name))
        return found === undefined ? undefined : { name: found }
      },
    }),
  },
  {
    mistake: 'create adopts what is there and says created',
    fails: 'create makes the database the first time and says so, and finds it afterwards',
    break: (intact) => ({
      ...intact,
      create: async (name, options) => ({ ...(await intact.create(name, options)), created: true }),
    }),
  },
  {
    mistake: 'create looks first and makes then',
    fails: 'creates of one name at the same time make one database, and at most one says created',
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
    mistake: 'connect falls back to some other database',
    fails: GONE,
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
    mistake: 'connect makes a missing database',
    fails: GONE,
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
    fails: 'drop is done when it resolves, and removes nothing else',
    break: (intact) => ({
      ...intact,
      async drop(locator, options) {
        setImmediate(() => void intact.drop(locator, options))
      },
    }),
  },
  {
    mistake: 'drop removes what has the name as a prefix',
    fails: 'drop is done when it resolves, and removes nothing else',
    break: (intact, server) => ({
      ...intact,
      async drop(locator) {
        for (const name of server.keys()) if (name.startsWith(String(locator.name))) server.delete(name)
      },
    }),
  },
  {
    mistake: 'drop of what is absent throws',
    fails: 'drop of what is gone succeeds, here and in another process',
    break: (intact, server) => ({
      ...intact,
      async drop(locator, options) {
        if (!server.has(String(locator.name))) throw new TenancyError('tenant_not_found', 'Nothing to drop')
        await intact.drop(locator, options)
      },
    }),
  },
  {
    mistake: 'drop leaves clients working on what was deleted',
    fails:
      'a client kept from before the drop fails; it neither writes into nothing nor brings the database back',
    break: (intact, server) => ({
      ...intact,
      // The server's own clients know nothing of the views' check.
      connect: async (target, options) =>
        server.get(String(target.locator.name)) ?? intact.connect(target, options),
      async drop(locator) {
        server.delete(String(locator.name))
      },
    }),
  },
  {
    mistake: 'clients are kept by name over drop and create',
    fails: 'a database made anew under a name is empty',
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
    mistake: 'list forgets the last page',
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
    mistake: 'list takes the prefix for a LIKE pattern',
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
    mistake: 'names are cut to length silently',
    fails: 'the service knows each database under exactly the name it was given',
    break: (intact) => ({
      ...intact,
      create: (name, options) => intact.create(name.slice(0, 40), options),
      find: (name, options) => intact.find(name.slice(0, 40), options),
    }),
  },
  {
    mistake: 'create refuses what is there already',
    fails: 'provision: the reply is lost, at every call in turn',
    break: (intact, server) => ({
      ...intact,
      async create(name, options) {
        if (server.has(name)) throw new TenancyError('conflict', 'The database exists already')
        return intact.create(name, options)
      },
    }),
  },
  {
    mistake: 'find throws for what is absent',
    fails: 'a tenant that was never provisioned is not found, and asking makes nothing',
    break: (intact, server) => ({
      ...intact,
      async find(name, options) {
        if (!server.has(name)) throw new TenancyError('provider_rejected', '404')
        return intact.find(name, options)
      },
    }),
  },
]
