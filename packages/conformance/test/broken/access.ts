import { TenancyError } from '@tenantry/multi-tenancy'
import type { MemoryClient } from '@tenantry/multi-tenancy/memory'
import { interceptKysely } from '../../src/wrappers/intercept-kysely.ts'
import type { Mistake, Provider } from './broken-provider.ts'

const REFUSED =
  'rejects every use of an existing client with the error of beforeUse, and does not reach the database'
const CLOSED = 'rejects existing and new clients of a closed database in every process'
const TOLD = 'reports tenant_suspended to existing and new clients of a closed database'

/** Mistakes with admission, and with databases that are closed and opened. */
export const ACCESS_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'admission is asked once, as the client is made',
    fails: REFUSED,
    break: (intact) => ({
      ...intact,
      async connect({ beforeUse: admit, ...target }, options) {
        await admit?.()
        return intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'transactions ask for no admission',
    fails: REFUSED,
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
        kysely: (client) => withTransactionsOf(client, plain.get(client) ?? client),
      }
    },
  },
  {
    mistake: 'a refused admission becomes an error of the provider’s own',
    fails: REFUSED,
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
    mistake: 'admission is asked and not waited for',
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
      // The server's own clients know nothing of the views' check.
      async connect(target, options) {
        const name = String(target.locator.name)
        if (server.closed.has(name)) throw closedError()
        return server.get(name) ?? intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'closing ends this process’s clients only',
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
    mistake: 'a client in use is told that its credentials were refused by a closed database',
    fails: TOLD,
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
    mistake: 'a new client of a closed database is told to come back soon',
    fails: TOLD,
    break: (intact, server) => ({
      ...intact,
      async connect(target, options) {
        if (server.closed.has(String(target.locator.name)))
          throw new TenancyError('tenant_not_ready', 'The tenant is shut', { retryAfter: 2 })
        return intact.connect(target, options)
      },
    }),
  },
  {
    mistake: 'closing lets open transactions go on',
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
    mistake: 'closing ends clients for good',
    fails: 'serves all data of a reopened database, also to existing clients',
    break: (intact) => {
      let closings = 0
      return {
        ...intact,
        async setAccess(locator, access, options) {
          if (access === 'closed') closings++
          await setAccessOf(intact)(locator, access, options)
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
    mistake: 'opening makes the database anew',
    fails: 'serves all data of a reopened database, also to existing clients',
    break: (intact) => ({
      ...intact,
      async setAccess(locator, access, options) {
        await setAccessOf(intact)(locator, access, options)
        if (access === 'closed') return
        await intact.drop(locator, options)
        await intact.create(String(locator.name), options)
      },
    }),
  },
  {
    mistake: 'closing what is closed throws',
    fails: 'succeeds when it closes a closed database or opens an open one, in any process',
    break: (intact, server) => ({
      ...intact,
      async setAccess(locator, access, options) {
        if (access === 'closed' && server.closed.has(String(locator.name))) {
          throw new TenancyError('conflict', 'The database is closed already')
        }
        await setAccessOf(intact)(locator, access, options)
      },
    }),
  },
  {
    mistake: 'closing closes what has the name as a prefix',
    fails: 'leaves every other database open when it closes one',
    break: (intact, server) => ({
      ...intact,
      async setAccess({ name }, access, options) {
        for (const other of server.keys()) {
          if (other.startsWith(String(name))) await setAccessOf(intact)({ name: other }, access, options)
        }
      },
    }),
  },
  {
    mistake: 'drop does nothing to a closed database',
    fails: 'finds, lists and drops a closed database, and opens a new one of the same name',
    break: (intact, server) => ({
      ...intact,
      async drop(locator, options) {
        if (!server.closed.has(String(locator.name))) await intact.drop(locator, options)
      },
    }),
  },
  {
    mistake: 'a mark of closing outlives the database',
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
    mistake: 'setAccess makes what is gone',
    fails: 'creates nothing when it closes or opens a database that no longer exists',
    break: (intact) => ({
      ...intact,
      async setAccess(locator, access, options) {
        await intact.create(String(locator.name), options)
        await setAccessOf(intact)(locator, access, options)
      },
    }),
  },
]

function setAccessOf({ setAccess }: Provider): NonNullable<Provider['setAccess']> {
  if (setAccess === undefined) throw new Error('The in-memory provider has no setAccess')
  return setAccess
}

function closedError(): TenancyError {
  return new TenancyError('tenant_suspended', 'The database is closed')
}

/** A Kysely whose transactions are another's. */
function withTransactionsOf(client: MemoryClient, other: MemoryClient): MemoryClient {
  return new Proxy(client, {
    get(target, key) {
      const from = key === 'transaction' ? other : target
      const value = Reflect.get(from, key, from)
      return typeof value === 'function' ? value.bind(from) : value
    },
  })
}
