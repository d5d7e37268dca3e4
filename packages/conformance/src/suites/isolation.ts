import { deepEqual, equal, ok } from 'node:assert/strict'
import { inspect } from 'node:util'
import { type Kysely, sql } from 'kysely'
import { type ConformanceCase, defineCases } from '../case.ts'
import type { ConformanceContext } from '../context.ts'
import { expectError, expectSuccess } from '../support/expect-error.ts'
import {
  listDatabaseFiles,
  listHostileSql,
  runStatements,
  SESSION_LEFTOVERS,
} from '../support/hostile-sql.ts'
import { NOTES, readNotes, SELECT_NOTES, toBodies, writeNote } from '../support/notes.ts'
import { swapDatabases } from '../wrappers/swap-databases.ts'

const TENANTS = ['amber', 'birch', 'cedar', 'delta', 'ember', 'fjord', 'grove', 'heath']

/** No tenant reads or changes another tenant's rows. */
export const isolation: readonly ConformanceCase[] = defineCases('isolation', [
  {
    name: 'keeps interleaved reads and writes of many tenants in two processes apart',
    async run(t) {
      const factories = [
        t.createFactory({ migrations: NOTES }),
        t.createFactory({ migrations: NOTES }, t.createProvider()),
      ]
      await Promise.all(
        TENANTS.map((id, at) =>
          expectSuccess(`provision ${id}`, async () => factories[at % 2]?.provision(id)),
        ),
      )
      const rounds = 6
      const work = async (id: string, round: number): Promise<void> => {
        const factory = factories[round % 2] ?? factories[0]
        ok(factory !== undefined)
        const { db } = await expectSuccess(`getAdapters ${id}`, () => factory.getAdapters(id))
        await expectSuccess(`a write of ${id}`, () => writeNote(db, round, `${id} ${round}`))
        for (const body of await readNotes(db)) ok(body.startsWith(`${id} `), `${id} reads ${body}`)
        const [note] = await db.selectFrom('notes').select('body').where('id', '=', round).execute()
        equal(note?.body, `${id} ${round}`)
      }
      await Promise.all(
        Array.from({ length: rounds }, (_, round) => round).flatMap((round) =>
          TENANTS.map((id) => work(id, round)),
        ),
      )
      for (const id of TENANTS) {
        const expected = Array.from({ length: rounds }, (_, round) => `${id} ${round}`)
        deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName(id), SELECT_NOTES)), expected)
      }
    },
  },
  {
    name: 'keeps overlapping transactions of many tenants apart',
    skip: ({ provider }) => (provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      const ids = TENANTS.slice(0, 3)
      for (const id of ids) await factory.provision(id)
      // Every transaction waits for the last one to begin, so all of them overlap.
      let begun = 0
      const allBegun = Promise.withResolvers<void>()
      await Promise.all(
        ids.map(async (id, at) => {
          const { db } = await factory.getAdapters(id)
          const work = db.transaction().execute(async (trx) => {
            await writeNote(trx, 1, id)
            if (++begun === ids.length) allBegun.resolve()
            await allBegun.promise
            deepEqual(await readNotes(trx), [id])
            if (at === 0) throw new Error('rolled back')
          })
          await work.catch((error: unknown) => ok(at === 0, String(error)))
        }),
      )
      for (const [at, id] of ids.entries())
        deepEqual(
          toBodies(await t.oracle.query(await t.getDatabaseName(id), SELECT_NOTES)),
          at === 0 ? [] : [id],
        )
    },
  },
  ...(['find', 'connect'] as const).map((member) => ({
    name: `rejects another tenant's database from ${member} with wrong_tenant until the tenant is released`,
    async run(t: ConformanceContext) {
      const factory = t.createFactory({ migrations: NOTES })
      for (const id of ['alice', 'bob']) {
        await factory.provision(id)
        await writeNote((await factory.getAdapters(id)).db, 1, `secret of ${id}`)
      }
      const bob = await t.provider.find(await t.getDatabaseName('bob'), t.call)
      ok(bob !== undefined)
      const name = await t.getDatabaseName('alice')
      const swap = swapDatabases(t.createProvider(), { member, name, other: bob })
      const swapped = t.createFactory({ migrations: NOTES }, swap.provider)
      for (let attempt = 0; attempt < 3; attempt++) {
        await expectError('getAdapters', () => swapped.getAdapters('alice'), 'wrong_tenant')
        await expectError('open', () => swapped.open('alice'), 'wrong_tenant')
      }
      await expectError('migrate', () => swapped.migrate('alice'), 'wrong_tenant')
      swap.stop()
      await expectError('getAdapters in quarantine', () => swapped.getAdapters('alice'), 'wrong_tenant')
      swapped.release('alice')
      deepEqual(await readNotes((await swapped.getAdapters('alice')).db), ['secret of alice'])
      deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName('bob'), SELECT_NOTES)), [
        'secret of bob',
      ])
    },
  })),
  {
    name: "rejects a database at the next open after its stamp became another tenant's",
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      await factory.provision('alice')
      await factory.getAdapters('alice')
      await t.oracle.execute(
        await t.getDatabaseName('alice'),
        "UPDATE tenantry_identity SET tenant_id = 'bob'",
      )
      factory.release('alice')
      await expectError('the same process', () => factory.getAdapters('alice'), 'wrong_tenant')
      await expectError(
        'another process',
        () => t.createFactory({}, t.createProvider()).getAdapters('alice'),
        'wrong_tenant',
      )
    },
  },
  {
    name: 'passes nothing of failed statements and abandoned transactions to the next use',
    async run(t) {
      const { alice, bob } = await createTwoTenants(t)
      await alice
        .selectFrom('missing')
        .selectAll()
        .execute()
        .catch(() => {})
      if (t.provider.capabilities.transactions) {
        const left = await alice.startTransaction().execute()
        await writeNote(left, 50, 'never committed')
        deepEqual(await readNotes(bob), ['secret of bob'], 'while a transaction of alice is open')
        await writeNote(bob, 2, 'in between')
        await left.rollback().execute()
        const failed = alice.transaction().execute(async (trx) => {
          await writeNote(trx, 51, 'before the failure')
          await trx
            .selectFrom('missing')
            .selectAll()
            .execute()
            .catch(() => {})
          throw new Error('rolled back by the case')
        })
        await failed.catch(() => {})
        await bob.deleteFrom('notes').where('id', '=', 2).execute()
      }
      for (let use = 0; use < 4; use++) {
        deepEqual(await readNotes(bob), ['secret of bob'])
        deepEqual(await readNotes(alice), ['secret of alice'])
      }
    },
  },
  {
    name: 'passes no session state of one tenant to another tenant',
    async run(t) {
      const { alice, bob } = await createTwoTenants(t)
      for (const [at, leftover] of SESSION_LEFTOVERS[t.dialect].entries()) {
        await runStatements(alice, leftover)
        const after = `after ${leftover.join('; ')}`
        for (let use = 0; use < 3; use++) deepEqual(await readNotes(bob), ['secret of bob'], after)
        await expectSuccess(after, () => writeNote(bob, 100 + at, 'written'))
        await bob.deleteFrom('notes').where('id', '>=', 100).execute()
      }
      deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName('bob'), SELECT_NOTES)), [
        'secret of bob',
      ])
    },
  },
  {
    name: "rejects SQL of one tenant that reads or changes another tenant's database",
    skip: ({ withoutSqlIsolation }) => withoutSqlIsolation,
    async run(t) {
      const { alice, bob } = await createTwoTenants(t)
      const [own, victim] = [await t.getDatabaseName('alice'), await t.getDatabaseName('bob')]
      const files = t.dialect === 'sqlite' ? await listDatabaseFiles(alice) : []
      const attacks = [
        ...listHostileSql(t.dialect, victim, own, files),
        ...(t.harness.hostileSql?.(victim, own) ?? []),
      ]
      if (attacks.length === 0) t.skip('neither the kit nor the harness has hostile SQL')
      let rejected = 0
      for (const statements of attacks) {
        const { rows, errors } = await runStatements(alice, statements)
        if (errors > 0) rejected++
        const text = statements.join('; ')
        ok(!inspect(rows, { depth: 5 }).includes('secret of bob'), `alice read bob's row with ${text}`)
        const notes = toBodies(await t.oracle.query(victim, SELECT_NOTES))
        deepEqual(notes, ['secret of bob'], `alice changed bob's rows with ${text}`)
        // A client that fails at every use would reject every attack as well.
        await expectSuccess(`a query of alice after ${text}`, () => sql`SELECT 1`.execute(alice))
      }
      deepEqual(await readNotes(bob), ['secret of bob'])
      t.note(
        `${attacks.length} attacks in SQL: ${rejected} rejected, ${attacks.length - rejected} without effect`,
      )
    },
  },
])

async function createTwoTenants(t: ConformanceContext): Promise<{ alice: Kysely<any>; bob: Kysely<any> }> {
  const factory = t.createFactory({ migrations: NOTES })
  const open = async (id: string): Promise<Kysely<any>> => {
    await factory.provision(id)
    const { db } = await factory.getAdapters(id)
    await writeNote(db, 1, `secret of ${id}`)
    return db
  }
  return { alice: await open('alice'), bob: await open('bob') }
}
