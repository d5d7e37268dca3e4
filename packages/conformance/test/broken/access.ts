import { TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import { interceptKysely } from '../../src/wrappers/intercept-kysely.ts'
import type { Mistake, Provider } from './broken-provider.ts'

const BEFORE_USE =
  'rejects every use of an existing client with the error of beforeUse, and does not reach the database'
const CLOSED = 'rejects existing and new clients of a closed database in every process'
const SUSPENDED = 'reports tenant_suspended to existing and new clients of a closed database'

/** Mistakes with `beforeUse` and `setAccess`. */
export const ACCESS_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'connect calls beforeUse once, when it creates the client',
    fails: BEFORE_USE,
    break: (intact) => ({
      ...intact,
      async connect({ beforeUse: admit, ...target }, options) {
        await admit?.()
        return intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'transactions do not call beforeUse',
    fails: BEFORE_USE,
    break: (intact) => {
      const plain = new WeakMap<MemoryClient, MemoryClient>()
      return {
        ...intact,
        async connect(target, options) {
          const { beforeUse: _, ...unasked } = target
          const client = await intact.connect(target, options)
          plain.set(client, await intact.connect(unasked, options))
          return client
        },
        kysely: (client) => withTransactionsFrom(client, plain.get(client) ?? client),
      }
    },
  },
  {
    mistake: 'an error of beforeUse is replaced by an error of the provider',
    fails: BEFORE_USE,
    break: (intact) => ({
      ...intact,
      connect: ({ beforeUse: admit, ...target }, options) =>
        intact.connect(
          {
            ...target,
            async beforeUse() {
              await Promise.resolve(admit?.()).catch(() => {
                throw new TenancyError('provider_unavailable', 'No connection')
              })
            },
          },
          options,
        ),
    }),
  },
  {
    mistake: 'a use calls beforeUse and does not wait for it',
    fails: 'waits for beforeUse before a use reaches the database',
    break: (intact) => ({
      ...intact,
      connect: ({ beforeUse: admit, ...target }, options) =>
        intact.connect({ ...target, beforeUse: () => void admit?.() }, options),
    }),
  },
  {
    mistake: 'closing rejects new clients only',
    fails: CLOSED,
    break: (intact, server) => ({
      ...intact,
      // The server's own clients do not check the mark of a closed database.
      async connect(target, options) {
        const name = String(target.locator.name)
        if (server.closed.has(name)) throw closedError()
        return server.get(name) ?? intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'closing ends the clients of its own process only',
    fails: CLOSED,
    break: (intact) => {
      const closed = new Set<unknown>()
      const check = (name: unknown): void => {
        if (closed.has(name)) throw closedError()
      }
      return {
        ...intact,
        async setAccess({ name }, access) {
          if (access === 'closed') closed.add(name)
          else closed.delete(name)
        },
        async connect({ beforeUse: admit, ...target }, options) {
          const { name } = target.locator
          check(name)
          return intact.connect(
            {
              ...target,
              async beforeUse() {
                check(name)
                await admit?.()
              },
            },
            options,
          )
        },
      }
    },
  },
  {
    mistake: 'an existing client of a closed database reports rejected credentials',
    fails: SUSPENDED,
    break: (intact) => ({
      ...intact,
      async query(client, statement) {
        try {
          return await intact.query(client, statement)
        } catch (cause) {
          throw new TenancyError('credentials_rejected', 'Access denied', { cause })
        }
      },
    }),
  },
  {
    mistake: 'a new client of a closed database reports a retryable error',
    fails: SUSPENDED,
    break: (intact, server) => ({
      ...intact,
      async connect(target, options) {
        if (server.closed.has(String(target.locator.name)))
          throw new TenancyError('tenant_not_ready', 'The tenant is closed', { retryAfter: 2 })
        return intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'closing does not end open transactions',
    fails: 'rejects the next statement of a transaction whose database is closed',
    break: (intact, server) => {
      const names = new WeakMap<MemoryClient, string>()
      return {
        ...intact,
        async connect(target, options) {
          const client = await intact.connect(target, options)
          names.set(client, String(target.locator.name))
          return client
        },
        kysely: (client) =>
          interceptKysely(server.get(names.get(client) ?? '') ?? client, new Set(), (_member, _sql, run) =>
            run(),
          ),
      }
    },
  },
  {
    mistake: 'closing ends clients permanently',
    fails: 'serves all data of a reopened database, also to existing clients',
    break: (intact) => {
      let closings = 0
      return {
        ...intact,
        async setAccess(locator, access, options) {
          if (access === 'closed') closings++
          await requireSetAccess(intact)(locator, access, options)
        },
        async connect({ beforeUse: admit, ...target }, options) {
          const born = closings
          return intact.connect(
            {
              ...target,
              async beforeUse() {
                if (closings > born) throw new TenancyError('closed', 'The connection was ended')
                await admit?.()
              },
            },
            options,
          )
        },
      }
    },
  },
  {
    mistake: 'opening recreates the database',
    fails: 'serves all data of a reopened database, also to existing clients',
    break: (intact) => ({
      ...intact,
      async setAccess(locator, access, options) {
        await requireSetAccess(intact)(locator, access, options)
        if (access === 'closed') return
        await intact.drop(locator, options)
        await intact.create(String(locator.name), options)
      },
    }),
  },
  {
    mistake: 'closing a closed database throws',
    fails: 'succeeds when it closes a closed database or opens an open one, in any process',
    break: (intact, server) => ({
      ...intact,
      async setAccess(locator, access, options) {
        if (access === 'closed' && server.closed.has(String(locator.name))) {
          throw new TenancyError('conflict', 'The database is closed already')
        }
        await requireSetAccess(intact)(locator, access, options)
      },
    }),
  },
  {
    mistake: 'closing closes every database whose name starts with the name',
    fails: 'leaves every other database open when it closes one',
    break: (intact, server) => ({
      ...intact,
      async setAccess({ name }, access, options) {
        for (const other of server.keys()) {
          if (other.startsWith(String(name))) await requireSetAccess(intact)({ name: other }, access, options)
        }
      },
    }),
  },
  {
    mistake: 'drop ignores a closed database',
    fails: 'finds, lists and drops a closed database, and opens a new one of the same name',
    break: (intact, server) => ({
      ...intact,
      async drop(locator, options) {
        if (!server.closed.has(String(locator.name))) await intact.drop(locator, options)
      },
    }),
  },
  {
    mistake: 'a dropped database stays marked as closed',
    fails: 'finds, lists and drops a closed database, and opens a new one of the same name',
    break: (intact, server) => ({
      ...intact,
      async drop(locator, options) {
        const name = String(locator.name)
        const closed = server.closed.has(name)
        await intact.drop(locator, options)
        if (closed) server.closed.add(name)
      },
    }),
  },
  {
    mistake: 'setAccess creates a missing database',
    fails: 'creates nothing when it closes or opens a database that no longer exists',
    break: (intact) => ({
      ...intact,
      async setAccess(locator, access, options) {
        await intact.create(String(locator.name), options)
        await requireSetAccess(intact)(locator, access, options)
      },
    }),
  },
]

function requireSetAccess({ setAccess }: Provider): NonNullable<Provider['setAccess']> {
  if (setAccess === undefined) throw new Error('The in-memory provider has no setAccess')
  return setAccess
}

function closedError(): TenancyError {
  return new TenancyError('tenant_suspended', 'The database is closed')
}

/** Returns a Kysely whose transactions belong to another one. */
function withTransactionsFrom(client: MemoryClient, other: MemoryClient): MemoryClient {
  return new Proxy(client, {
    get(target, key) {
      const from = key === 'transaction' ? other : target
      const value = Reflect.get(from, key, from)
      return typeof value === 'function' ? value.bind(from) : value
    },
  })
}
