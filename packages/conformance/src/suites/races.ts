import { deepEqual, equal, ok } from 'node:assert/strict'
import { TenancyError, type TenantFactory } from '@tenantry/multi-tenancy'
import { type ConformanceCase, suite } from '../case.ts'
import { type Adapters, type ConformanceContext, virtualTime } from '../context.ts'
import { CROSSED } from '../support/concurrency-errors.ts'
import { refuses } from '../support/expect-error.ts'
import { assertAbsent, assertReady, stampOf } from '../support/identity-stamp.ts'
import { NOTES, readNotes, writeNote } from '../support/notes.ts'
import { intercept } from '../wrappers/intercept-provider.ts'
import { recordCalls } from '../wrappers/record-calls.ts'
import { withFaults } from '../wrappers/with-faults.ts'

/** Many callers at once. */
export const races: readonly ConformanceCase[] = suite('races', [
  {
    name: 'creates of one name at the same time make one database, and at most one says created',
    async run(t) {
      const providers = [t.provider, t.another(), t.another()]
      const name = `${t.prefix}a`
      const results = await Promise.all(
        Array.from({ length: 12 }, (_, at) => providers[at % 3]?.create(name, t.call)),
      )
      ok(results.filter((result) => result?.created).length <= 1, 'several callers made the database')
      deepEqual(await t.oracle.databases(t.prefix), [name])
    },
  },
  {
    name: 'fifty provisions of one tenant over three processes make one database with one stamp',
    async run(t) {
      const factories = manyFactories(t, 12)
      const calls = Array.from({ length: 50 }, (_, at) => factories[at % factories.length]?.provision('acme'))
      await Promise.all(calls)
      await assertReady(t, 'acme')
      deepEqual(await t.oracle.databases(t.prefix), [await t.nameOf('acme')])
      await writeNote((await one(factories).getAdapters('acme')).db, 1, 'shared')
      for (const factory of factories)
        deepEqual(await readNotes((await factory.getAdapters('acme')).db), ['shared'])
    },
  },
  {
    name: 'twenty tenants are provisioned at the same time',
    async run(t) {
      const factories = manyFactories(t, 3)
      const ids = Array.from({ length: 20 }, (_, at) => `tenant-${at}`)
      await Promise.all(ids.map((id, at) => factories[at % 3]?.provision(id)))
      equal((await t.oracle.databases(t.prefix)).length, ids.length)
      for (const id of ids) await assertReady(t, id)
    },
  },
  {
    name: 'provision against deprovision ends ready or absent, never half served',
    async run(t) {
      const [first, second, third] = manyFactories(t, 3, true) as [Factory, Factory, Factory]
      for (let round = 0; round < 8; round++) {
        const id = `round-${round}`
        if (round % 2 === 0) await first.provision(id)
        const served: Promise<void>[] = [first, second, third].map((factory) => neverHalf(factory, id))
        const calls = [
          second.deprovision(id),
          first.provision(id),
          third.deprovision(id),
          third.provision(id),
        ]
        for (const result of await Promise.allSettled([...calls, ...served])) {
          if (result.status === 'fulfilled') continue
          const { reason } = result
          ok(reason instanceof TenancyError && CROSSED.has(reason.code), `${id}: ${String(reason)}`)
        }
        await assertSettled(t, [first, second, third], id)
        await second.deprovision(id)
        await assertAbsent(t, id)
        await second.provision(id)
        await assertReady(t, id)
      }
    },
  },
  {
    name: 'a provision whose database is deleted under it ends soon: its client can never work again',
    async run(t) {
      const other = t.factory({}, t.another())
      const environment = virtualTime()
      let stamped = false
      const { provider } = intercept(t.another(), async (call, run) => {
        const value = await run()
        if (call.member === 'batch' && !stamped) {
          stamped = true
          await other.deprovision('acme')
        }
        return value
      })
      const began = environment.now()
      const factory = t.factory({ migrations: NOTES, environment }, provider)
      await factory.provision('acme').catch((error: unknown) => {
        ok(error instanceof TenancyError && CROSSED.has(error.code), String(error))
      })
      const seconds = (environment.now() - began) / 1_000
      ok(seconds < 30, `it tried again for ${seconds} s`)
    },
  },
  {
    name: 'deprovisions of one tenant at the same time all succeed',
    async run(t) {
      const factories = manyFactories(t, 3)
      await one(factories).provision('acme')
      await Promise.all(factories.map((factory) => factory.deprovision('acme')))
      await assertAbsent(t, 'acme')
    },
  },
  {
    name: 'a thousand first requests open the tenant once',
    async run(t) {
      await t.factory({ migrations: NOTES }).provision('acme')
      const { provider, count } = recordCalls(t.another())
      const factory = t.factory({}, provider)
      const adapters = await Promise.all(Array.from({ length: 1_000 }, () => factory.getAdapters('acme')))
      equal(new Set(adapters).size, 1, 'there are several adapters of one tenant')
      equal(count('find'), 1, 'find')
      equal(count('connect'), 1, 'connect')
      await factory.getAdapters('acme')
      equal(count('connect'), 1, 'a warm open connected again')
    },
  },
  {
    name: 'a failed open is told to all who waited, and not remembered',
    async run(t) {
      await t.factory({ migrations: NOTES }).provision('acme')
      const faulty = withFaults(t.another(), { kind: 'fatal', at: (call) => call.member === 'connect' })
      const factory = t.factory({}, faulty.provider)
      const opens = Array.from({ length: 20 }, () => factory.getAdapters('acme'))
      const failed = await Promise.allSettled(opens)
      for (const result of failed)
        await refuses('getAdapters', async () => unwrap(result), 'provider_rejected')
      ok(faulty.fired() !== undefined)
      deepEqual(await readNotes((await factory.getAdapters('acme')).db), [])
    },
  },
  {
    name: 'who asks while a tenant is provisioned gets it complete or not at all',
    async run(t) {
      const seed = async ({ db }: Adapters): Promise<void> => {
        await db.deleteFrom('notes').execute()
        await writeNote(db, 1, 'seeded')
      }
      const [maker, asker] = [t.factory({ migrations: NOTES, seed }), t.factory({}, t.another())]
      const done = maker.provision('acme')
      let finished = false
      void done.then(() => {
        finished = true
      })
      let asked = 0
      do {
        asker.release('acme')
        const adapters = await asker.getAdapters('acme').catch((error: unknown) => {
          ok(error instanceof TenancyError && CROSSED.has(error.code), String(error))
          return undefined
        })
        if (adapters !== undefined) deepEqual(await readNotes(adapters.db), ['seeded'])
        // The maker's turn, however its provider works.
        await new Promise((resolve) => setImmediate(resolve))
      } while (!finished && ++asked < 100_000)
      await done
      asker.release('acme')
      deepEqual(await readNotes((await asker.getAdapters('acme')).db), ['seeded'])
    },
  },
])

type Factory = TenantFactory<Adapters>

/** @param impatient retries take no time: whoever lost is told so at once */
function manyFactories(t: ConformanceContext, count: number, impatient = false): Factory[] {
  const providers = [t.provider, t.another(), t.another()]
  return Array.from({ length: count }, (_, at) => {
    const environment = impatient ? { environment: virtualTime() } : {}
    return t.factory({ migrations: NOTES, ...environment }, providers[at % 3])
  })
}

function one(factories: readonly Factory[]): Factory {
  const [factory] = factories
  ok(factory !== undefined)
  return factory
}

/** What a use of a client is told that is not let through, whatever is in the database. */
const REFUSALS: ReadonlySet<string> = new Set([
  'tenant_not_found',
  'tenant_not_ready',
  'tenant_suspended',
  'stale_tenant',
  'provider_unavailable',
])

/** Whenever the tenant is given out, its migrations are there. */
async function neverHalf(factory: Factory, id: string): Promise<void> {
  factory.release(id)
  const { db } = await factory.getAdapters(id)
  const read = await readNotes(db).catch((error: unknown) => {
    if (error instanceof TenancyError && REFUSALS.has(error.code)) return []
    return undefined
  })
  if (read !== undefined) return
  // Deleted in this moment; or there without its table, and that is what may not be.
  const stamped = await db
    .selectFrom('tenantry_identity')
    .select('state')
    .execute()
    .catch(() => [])
  deepEqual(stamped, [], `${id} was served without its migrations`)
}

async function assertSettled(
  t: ConformanceContext,
  factories: readonly Factory[],
  id: string,
): Promise<void> {
  const name = await t.nameOf(id)
  const there = (await t.oracle.databases(name)).includes(name)
  const state = there ? (await stampOf(t, name)).state : 'absent'
  for (const factory of factories) {
    factory.release(id)
    if (state === 'ready') deepEqual(await readNotes((await factory.getAdapters(id)).db), [])
    else
      await refuses(
        `${id} is ${state}`,
        () => factory.getAdapters(id),
        'tenant_not_found',
        'tenant_not_ready',
      )
  }
}

function unwrap<Value>(result: PromiseSettledResult<Value>): Value {
  if (result.status === 'rejected') throw result.reason
  return result.value
}
