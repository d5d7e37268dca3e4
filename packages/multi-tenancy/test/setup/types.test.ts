import { type Context, Hono } from 'hono'
import type { Kysely } from 'kysely'
import { expectTypeOf, test } from 'vitest'
import { createMemoryFactory } from '../../src/memory/index.ts'
import { createDatabaseMiddleware } from '../../src/request/database.ts'
import type { AdaptersOf, RequestTenant, TenancyEnv } from '../../src/request/env.ts'
import { createMultiTenancyMiddleware } from '../../src/request/multi-tenancy.ts'
import type { TenantResolver } from '../../src/request/resolvers/resolver.ts'
import { createSubdomainMiddleware } from '../../src/request/subdomain.ts'
import { type MultiTenancy, setupMultiTenancy } from '../../src/setup.ts'
import type { TenantId } from '../../src/tenant-id.ts'
import type { DatabaseFactory, TenantFactory } from '../../src/types/tenant-factory.ts'

// These are facts for tsc, which checks this folder too; running them only shows that nothing throws.

interface Notes {
  list(): Promise<string[]>
}
const notes: Notes = { list: async () => [] }
const nothing = async (): Promise<void> => {}
const factory: DatabaseFactory<Notes> = {
  getAdapters: async () => notes,
  provision: nothing,
  deprovision: nothing,
}

test("infers the adapters' type from a factory, a member or an object", () => {
  expectTypeOf(setupMultiTenancy({ databaseIsolation: factory })).toEqualTypeOf<MultiTenancy<Notes>>()
  expectTypeOf(setupMultiTenancy({ databaseIsolation: { getAdapters: factory.getAdapters } })).toEqualTypeOf<
    MultiTenancy<Notes>
  >()
  expectTypeOf(
    setupMultiTenancy({ databaseIsolation: { getAdapters: async (id) => ({ owner: id }) } }),
  ).toEqualTypeOf<MultiTenancy<{ owner: string }>>()
  expectTypeOf<AdaptersOf<typeof factory>>().toEqualTypeOf<Notes>()
  expectTypeOf<AdaptersOf<TenantFactory<Notes>>>().toEqualTypeOf<Notes>()
  expectTypeOf<AdaptersOf<{ getAdapters: 1 }>>().toEqualTypeOf<never>()
})

test('types c.env.data and c.var.tenant for handlers behind the middleware', () => {
  const { middleware } = setupMultiTenancy({ databaseIsolation: factory })
  new Hono().use(middleware).get('/', (c) => {
    expectTypeOf(c.env.data).toEqualTypeOf<Notes>()
    expectTypeOf(c.var.tenant).toEqualTypeOf<RequestTenant>()
    expectTypeOf(c.var.tenant.generation).toEqualTypeOf<number | undefined>()
    expectTypeOf(c.var.tenant_id).toEqualTypeOf<TenantId>()
    return c.text('')
  })
  new Hono().use('/api/*', createMultiTenancyMiddleware({ databaseIsolation: factory }))
  new Hono().use(createDatabaseMiddleware({ databaseIsolation: factory })).get('/', (c) => {
    expectTypeOf(c.env.data).toEqualTypeOf<Notes>()
    return c.text('')
  })
})

test("combines the environment type with the app's own bindings", () => {
  const { middleware } = setupMultiTenancy({ databaseIsolation: factory })
  const app = new Hono<TenancyEnv<AdaptersOf<typeof factory>>>()
  app.use(middleware)
  app.get('/', (c) => {
    expectTypeOf(c.env.data).toEqualTypeOf<Notes>()
    // @ts-expect-error no such adapter
    void c.env.data.users
    // @ts-expect-error no such variable
    void c.var.tenantId
    return c.text('')
  })
  const bound = new Hono<{ Bindings: { KV: string } } & TenancyEnv<Notes>>()
  bound.use('*', middleware)
  bound.get('/', (c) => {
    expectTypeOf(c.env.KV).toEqualTypeOf<string>()
    expectTypeOf(c.env.data).toEqualTypeOf<Notes>()
    return c.text('')
  })
})

test('types the tenant as optional behind the subdomain middleware alone', () => {
  new Hono()
    .use(createSubdomainMiddleware({ subdomainRouting: { baseDomain: 'example.com' } }))
    .get('/', (c) => {
      expectTypeOf(c.var.tenant_id).toEqualTypeOf<TenantId | undefined>()
      return c.text('')
    })
})

test('accepts a plain function as a resolver', () => {
  expectTypeOf((c: Context) => c.req.header('x')).toExtend<TenantResolver>()
  expectTypeOf(async () => undefined).toExtend<TenantResolver>()
  expectTypeOf(() => 7).not.toExtend<TenantResolver>()
})

test('rejects a configuration without a required option', () => {
  // @ts-expect-error databaseIsolation is missing
  void (() => setupMultiTenancy({}))
  // @ts-expect-error getAdapters is missing
  void (() => setupMultiTenancy({ databaseIsolation: { onProvision: nothing } }))
  // @ts-expect-error a misspelt option
  void (() => setupMultiTenancy({ databaseIsolation: factory, accesControl: {} }))
})

test('rejects an adapters type that createAdapters does not build', () => {
  interface Tables {
    notes: { title: string }
  }
  expectTypeOf(createMemoryFactory()).toEqualTypeOf<TenantFactory<{ db: Kysely<any> }>>()
  expectTypeOf(createMemoryFactory<{ db: Kysely<Tables> }>({})).toEqualTypeOf<
    TenantFactory<{ db: Kysely<Tables> }>
  >()
  expectTypeOf(createMemoryFactory({ createAdapters: (db) => ({ notes, db }) })).toEqualTypeOf<
    TenantFactory<{ notes: Notes; db: Kysely<any> }>
  >()
  // @ts-expect-error createAdapters is missing
  createMemoryFactory<{ notes: Notes }>({})
})
