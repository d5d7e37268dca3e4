import { deepEqual, equal, ok } from 'node:assert/strict'
import { TenancyError, type TenantFactory } from '@tenantry/multi-tenancy'
import { type ConformanceCase, defineCases } from '../case.ts'
import { type Adapters, type ConformanceContext, createSimulatedTime } from '../context.ts'
import { CONCURRENCY_ERRORS } from '../support/concurrency-errors.ts'
import { expectError } from '../support/expect-error.ts'
import { assertAbsent, assertReady, readStamp } from '../support/identity-stamp.ts'
import { NOTES, readNotes, writeNote } from '../support/notes.ts'
import { interceptProvider } from '../wrappers/intercept-provider.ts'
import { recordCalls } from '../wrappers/record-calls.ts'
import { withFaults } from '../wrappers/with-faults.ts'

/** Concurrent callers. */
export const races: readonly ConformanceCase[] = defineCases('races', [
  {
    name: 'creates one database for concurrent calls with one name, and reports it as created at most once',
    async run(t) {
      const providers = [t.provider, t.createProvider(), t.createProvider()]
      const name = `${t.prefix}a`
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, at) => providers[at % 3]?.create(name, t.call)),
      )
      ok(
        results.filter((result) => result?.created).length <= 1,
        'several callers report that they created the database',
      )
      deepEqual(await t.oracle.listDatabases(t.prefix), [name])
    },
  },
  {
    name: 'provisions one database with one stamp for fifty concurrent calls in three processes',
    async run(t) {
      const factories = createFactories(t, 12)
      const calls = Array.from({ length: 50 }, (_, at) => factories[at % factories.length]?.provision('acme'))
      await Promise.all(calls)
      await assertReady(t, 'acme')
      deepEqual(await t.oracle.listDatabases(t.prefix), [await t.getDatabaseName('acme')])
      await writeNote((await first(factories).getAdapters('acme')).db, 1, 'shared')
      for (const factory of factories)
        deepEqual(await readNotes((await factory.getAdapters('acme')).db), ['shared'])
    },
  },
  {
    name: 'provisions twenty tenants concurrently',
    async run(t) {
      const factories = createFactories(t, 3)
      const ids = Array.from({ length: 20 }, (_, at) => `tenant-${at}`)
      await Promise.all(ids.map((id, at) => factories[at % 3]?.provision(id)))
      equal((await t.oracle.listDatabases(t.prefix)).length, ids.length)
      for (const id of ids) await assertReady(t, id)
    },
  },
  {
    name: 'leaves a tenant ready or absent, and never serves it half-provisioned, when provision and deprovision race',
    async run(t) {
      // In simulated time, a caller that loses a race fails immediately.
      const factories = createFactories(t, 3, createSimulatedTime)
      const [first, second, third] = factories as [Factory, Factory, Factory]
      for (let round = 0; round < 8; round++) {
        const id = `round-${round}`
        if (round % 2 === 0) await first.provision(id)
        const served: Promise<void>[] = factories.map((factory) => assertServedCompletely(factory, id))
        const calls = [
          second.deprovision(id),
          first.provision(id),
          third.deprovision(id),
          third.provision(id),
        ]
        for (const result of await Promise.allSettled([...calls, ...served])) {
          if (result.status === 'fulfilled') continue
          const { reason } = result
          ok(
            reason instanceof TenancyError && CONCURRENCY_ERRORS.has(reason.code),
            `${id}: ${String(reason)}`,
          )
        }
        await assertReadyOrAbsent(t, factories, id)
        await second.deprovision(id)
        await assertAbsent(t, id)
        await second.provision(id)
        await assertReady(t, id)
      }
    },
  },
  {
    name: 'ends a provision soon after another process deletes its database',
    async run(t) {
      const other = t.createFactory({}, t.createProvider())
      const environment = createSimulatedTime()
      let stamped = false
      const { provider } = interceptProvider(t.createProvider(), async (call, run) => {
        const value = await run()
        if (call.member === 'batch' && !stamped) {
          stamped = true
          await other.deprovision('acme')
        }
        return value
      })
      const began = environment.now()
      const factory = t.createFactory({ migrations: NOTES, environment }, provider)
      await factory.provision('acme').catch((error: unknown) => {
        ok(error instanceof TenancyError && CONCURRENCY_ERRORS.has(error.code), String(error))
      })
      const seconds = (environment.now() - began) / 1_000
      ok(seconds < 30, `the provision retried for ${seconds} s`)
    },
  },
  {
    name: 'completes all concurrent deprovisions of one tenant',
    async run(t) {
      const factories = createFactories(t, 3)
      await first(factories).provision('acme')
      await Promise.all(factories.map((factory) => factory.deprovision('acme')))
      await assertAbsent(t, 'acme')
    },
  },
  {
    name: 'opens a tenant once for a thousand concurrent first requests',
    async run(t) {
      await t.createFactory({ migrations: NOTES }).provision('acme')
      const { provider, count } = recordCalls(t.createProvider())
      const factory = t.createFactory({}, provider)
      const adapters = await Promise.all(Array.from({ length: 1_000 }, () => factory.getAdapters('acme')))
      equal(new Set(adapters).size, 1, 'callers received different adapters of one tenant')
      equal(count('find'), 1, 'find')
      equal(count('connect'), 1, 'connect')
      await factory.getAdapters('acme')
      equal(count('connect'), 1, 'a warm open connected again')
    },
  },
  {
    name: 'reports a failed open to every waiting caller and does not cache it',
    async run(t) {
      await t.createFactory({ migrations: NOTES }).provision('acme')
      const faulty = withFaults(t.createProvider(), {
        kind: 'fatal',
        at: (call) => call.member === 'connect',
      })
      const factory = t.createFactory({}, faulty.provider)
      const opens = Array.from({ length: 20 }, () => factory.getAdapters('acme'))
      await Promise.allSettled(opens)
      for (const open of opens) await expectError('getAdapters', () => open, 'provider_rejected')
      ok(faulty.fired() !== undefined)
      deepEqual(await readNotes((await factory.getAdapters('acme')).db), [])
    },
  },
  {
    name: 'serves a tenant completely or not at all while it is being provisioned',
    async run(t) {
      const seed = async ({ db }: Adapters): Promise<void> => {
        await db.deleteFrom('notes').execute()
        await writeNote(db, 1, 'seeded')
      }
      const [provisioning, serving] = [
        t.createFactory({ migrations: NOTES, seed }),
        t.createFactory({}, t.createProvider()),
      ]
      const done = provisioning.provision('acme')
      let isDone = false
      void done.then(() => {
        isDone = true
      })
      let requests = 0
      do {
        serving.release('acme')
        const adapters = await serving.getAdapters('acme').catch((error: unknown) => {
          ok(error instanceof TenancyError && CONCURRENCY_ERRORS.has(error.code), String(error))
          return undefined
        })
        if (adapters !== undefined) deepEqual(await readNotes(adapters.db), ['seeded'])
        // Lets the provision continue, also when its provider works in microtasks only.
        await new Promise((resolve) => setImmediate(resolve))
      } while (!isDone && ++requests < 100_000)
      await done
      serving.release('acme')
      deepEqual(await readNotes((await serving.getAdapters('acme')).db), ['seeded'])
    },
  },
])

type Factory = TenantFactory<Adapters>

/** Creates factories over three providers of the same service. */
function createFactories(
  t: ConformanceContext,
  count: number,
  createEnvironment?: typeof createSimulatedTime,
): Factory[] {
  const providers = [t.provider, t.createProvider(), t.createProvider()]
  return Array.from({ length: count }, (_, at) =>
    t.createFactory({ migrations: NOTES, environment: createEnvironment?.() ?? {} }, providers[at % 3]),
  )
}

function first(factories: readonly Factory[]): Factory {
  const [factory] = factories
  ok(factory !== undefined)
  return factory
}

/** The codes with which a client is rejected, independent of the database's tables. */
const REJECTIONS: ReadonlySet<string> = new Set([
  'tenant_not_found',
  'tenant_not_ready',
  'tenant_suspended',
  'stale_tenant',
  'provider_unavailable',
])

/** Asserts that a tenant that is served has its migrations. */
async function assertServedCompletely(factory: Factory, id: string): Promise<void> {
  factory.release(id)
  const { db } = await factory.getAdapters(id)
  const read = await readNotes(db).catch((error: unknown) => {
    if (error instanceof TenancyError && REJECTIONS.has(error.code)) return []
    return undefined
  })
  if (read !== undefined) return
  // The database was deleted meanwhile, or it is served without its table, which must not happen.
  const stamped = await db
    .selectFrom('tenantry_identity')
    .select('state')
    .execute()
    .catch(() => [])
  deepEqual(stamped, [], `${id} was served without its migrations`)
}

async function assertReadyOrAbsent(
  t: ConformanceContext,
  factories: readonly Factory[],
  id: string,
): Promise<void> {
  const name = await t.getDatabaseName(id)
  const exists = (await t.oracle.listDatabases(name)).includes(name)
  const state = exists ? (await readStamp(t, name)).state : 'absent'
  for (const factory of factories) {
    factory.release(id)
    if (state === 'ready') deepEqual(await readNotes((await factory.getAdapters(id)).db), [])
    else
      await expectError(
        `${id} is ${state}`,
        () => factory.getAdapters(id),
        'tenant_not_found',
        'tenant_not_ready',
      )
  }
}
