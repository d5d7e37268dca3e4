import { Hono } from 'hono'
import { describe, expect, test, vi } from 'vitest'
import { createDatabaseMiddleware } from '../../src/request/database.ts'
import { setupMultiTenancy } from '../../src/setup.ts'
import type { DatabaseFactory } from '../../src/types/tenant-factory.ts'

/**
 * The specification's snippets about `setupMultiTenancy` and `createDatabaseMiddleware`, as they stand there,
 * over a database server that is a map.
 */
interface DataAdapters {
  users: { list(): Promise<string[]> }
}
const databases = new Map<string, DataAdapters>()
const log: string[] = []

async function createDatabase(name: string): Promise<void> {
  databases.set(name, { users: { list: async () => [`user of ${name}`] } })
}
async function connectToDatabase({ host }: { host: string }): Promise<DataAdapters> {
  const database = databases.get(host)
  if (database === undefined) throw new Error(`cannot connect to ${host}`)
  return database
}
const noting = (what: string) => async (tenantId: string) => void log.push(`${what} ${tenantId}`)
const runMigrations = noting('migrate')
const seedData = noting('seed')
const backupDatabase = noting('backup')
const cleanupResources = noting('cleanup')

const customFactory: DatabaseFactory<DataAdapters> = {
  async getAdapters(tenantId: string) {
    return connectToDatabase({ host: `tenant_${tenantId}` })
  },

  async provision(tenantId: string) {
    // 1. Create database
    await createDatabase(`tenant_${tenantId}`)

    // 2. Run migrations
    await runMigrations(tenantId)

    // 3. Seed default data
    await seedData(tenantId)
  },

  async deprovision(tenantId: string) {
    // 1. Create final backup
    await backupDatabase(tenantId)

    // 3. Delete database
    databases.delete(`tenant_${tenantId}`)
  },
}

/** The snippet under "Lazy Loading", behind an earlier middleware that knows the tenant and the token. */
async function users(
  middleware: ReturnType<typeof createDatabaseMiddleware<DataAdapters>>,
  tenantId: string,
  payload?: object,
): Promise<unknown> {
  const app = new Hono<{
    Bindings: { data: DataAdapters }
    Variables: { tenant_id: string; jwtPayload: object | undefined }
  }>()
  app.use('*', async (c, next) => {
    c.set('tenant_id', tenantId)
    c.set('jwtPayload', payload)
    await next()
  })
  app.use('*', middleware)
  app.get('/api/users', async (c) => {
    // c.env.data is populated by middleware
    const users = await c.env.data.users.list()
    return c.json(users)
  })
  const response = await app.request('/api/users')
  return response.ok ? response.json() : response.status
}

describe('the specification', () => {
  test("Cloudflare D1: accepts a factory's members with a main tenant", async () => {
    const d1Factory = customFactory
    const multiTenancy = setupMultiTenancy({
      accessControl: {
        mainTenantId: 'main',
      },
      databaseIsolation: {
        getAdapters: d1Factory.getAdapters,
        onProvision: async (tenantId) => {
          await d1Factory.provision(tenantId)
          // Run migrations
          await runMigrations(tenantId)
        },
        onDeprovision: d1Factory.deprovision,
      },
    })
    log.length = 0
    await multiTenancy.hooks.onProvision('acme')
    expect(log).toEqual(['migrate acme', 'seed acme', 'migrate acme'])
    expect(await users(multiTenancy.middleware, 'acme', { org_id: 'acme' })).toEqual(['user of tenant_acme'])
    expect(await users(multiTenancy.middleware, 'acme', { org_id: 'main' })).toEqual(['user of tenant_acme'])
    expect(await users(multiTenancy.middleware, 'acme', { org_id: 'other' })).toBe(404)
    await multiTenancy.hooks.onDeprovision('acme')
    expect(await users(multiTenancy.middleware, 'acme', { org_id: 'acme' })).toBe(500)
  })

  test("Turso and custom providers: accepts a factory's unbound members", async () => {
    const multiTenancy = setupMultiTenancy({
      databaseIsolation: {
        getAdapters: customFactory.getAdapters,
        onProvision: customFactory.provision,
        onDeprovision: customFactory.deprovision,
      },
    })
    const { onProvision, onDeprovision } = multiTenancy.hooks
    await onProvision('globex')
    expect(await users(multiTenancy.middleware, 'globex', { tenant_id: 'globex' })).toEqual([
      'user of tenant_globex',
    ])
    await onDeprovision('globex')
    expect(databases.has('tenant_globex')).toBe(false)
  })

  test('basic set-up: serves the tenant of the request', async () => {
    const getTenantDatabase = async (tenantId: string) => connectToDatabase({ host: `tenant_${tenantId}` })
    const createAdapter = (db: DataAdapters) => db
    const multiTenancy = setupMultiTenancy({
      databaseIsolation: {
        getAdapters: async (tenantId) => {
          const db = await getTenantDatabase(tenantId)
          return createAdapter(db)
        },
      },
    })
    await createDatabase('tenant_basic')
    expect(await users(multiTenancy.middleware, 'basic', { tenant_id: 'basic' })).toEqual([
      'user of tenant_basic',
    ])
    expect(await users(multiTenancy.middleware, 'basic')).toBe(401)
  })

  test('provisioning and deprovisioning: calls both functions with the tenant id', async () => {
    const factory = customFactory
    const multiTenancy = setupMultiTenancy({
      databaseIsolation: {
        getAdapters: factory.getAdapters,
        onProvision: factory.provision,

        onDeprovision: async (tenantId) => {
          // Backup before deletion
          await backupDatabase(tenantId)

          // Delete database
          await factory.deprovision(tenantId)

          // Clean up related resources
          await cleanupResources(tenantId)
        },
      },
    })
    await multiTenancy.tenants.create('initech')
    log.length = 0
    await multiTenancy.tenants.delete('initech')
    expect(log).toEqual(['backup initech', 'backup initech', 'cleanup initech'])
  })

  test('middleware integration: sets the adapters on c.env.data', async () => {
    const factory = { getAdapters: vi.fn(customFactory.getAdapters) }
    const dbMiddleware = createDatabaseMiddleware({
      databaseIsolation: {
        getAdapters: factory.getAdapters,
      },
    })
    await createDatabase('tenant_umbrella')
    expect(await users(dbMiddleware, 'umbrella')).toEqual(['user of tenant_umbrella'])
    expect(factory.getAdapters).toHaveBeenCalledExactlyOnceWith('umbrella')
  })

  test('best practices: serves adapters that the app caches in a map', async () => {
    const connectionPool = new Map<string, DataAdapters>()
    const factory: Pick<DatabaseFactory<DataAdapters>, 'getAdapters'> = {
      async getAdapters(tenantId: string) {
        // Check cache first
        const cached = connectionPool.get(tenantId)
        if (cached) return cached

        // Create and cache connection
        const adapters = await connectToDatabase({ host: `tenant_${tenantId}` })
        connectionPool.set(tenantId, adapters)
        return adapters
      },
    }
    const middleware = createDatabaseMiddleware({ databaseIsolation: factory })
    await createDatabase('tenant_a')
    await createDatabase('tenant_b')
    for (const tenant of ['a', 'b', 'a', 'b']) {
      expect(await users(middleware, tenant)).toEqual([`user of tenant_${tenant}`])
    }
  })
})
