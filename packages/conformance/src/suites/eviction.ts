import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ConformanceCase, defineCases } from '../case.ts'
import { expectSuccess } from '../support/expect-error.ts'
import { NOTES, readNotes, SELECT_NOTES, toBodies, writeNote } from '../support/notes.ts'
import { runConcurrently } from '../support/run-concurrently.ts'

const TENANTS = Array.from({ length: 20 }, (_, at) => `tenant-${at}`)
const ROUNDS = 5

/** A cache that is far too small for the tenants in use. */
export const eviction: readonly ConformanceCase[] = defineCases('eviction', [
  {
    name: 'serves 20 tenants from a cache of 2 without an error or a mix-up',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES, cache: { max: 2, locatorMax: 3 } })
      await runConcurrently(TENANTS, 5, (id) => factory.provision(id))
      let peak = 0
      const work = async (id: string, round: number): Promise<void> => {
        const { db } = await factory.getAdapters(id)
        await writeNote(db, round, `${id} ${round}`)
        peak = Math.max(peak, (await t.harness.countConnections?.()) ?? 0)
        for (const body of await readNotes(db)) ok(body.startsWith(`${id} `), `${id} reads ${body}`)
      }
      const jobs = Array.from({ length: ROUNDS }, (_, round) => TENANTS.map((id) => ({ id, round }))).flat()
      await runConcurrently(jobs, 10, ({ id, round }) => work(id, round))
      for (const id of TENANTS) {
        const expected = Array.from({ length: ROUNDS }, (_, round) => `${id} ${round}`)
        deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName(id), SELECT_NOTES)), expected)
      }
      const limit = t.harness.connectionLimit ?? 50
      ok(peak <= limit, `${peak} connections were open, ${limit} are allowed`)
    },
  },
  {
    name: 'completes an open transaction whose tenant is evicted from the cache',
    skip: ({ provider }) => (provider.capabilities.transactions ? undefined : 'transactions is false'),
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES, cache: { max: 2 } })
      await runConcurrently(TENANTS.slice(0, 8), 4, (id) => factory.provision(id))
      const long = TENANTS.slice(0, 2)
      let others: Promise<unknown> = Promise.resolve()
      let arrived = 0
      const inside = Promise.withResolvers<void>()
      const evicted = Promise.withResolvers<void>()
      const open = long.map(async (id) => {
        const { db } = await factory.getAdapters(id)
        await db.transaction().execute(async (trx) => {
          await writeNote(trx, 1, `${id} before`)
          if (++arrived === long.length) inside.resolve()
          await evicted.promise
          deepEqual(await readNotes(trx), [`${id} before`])
          await writeNote(trx, 2, `${id} after`)
        })
      })
      await Promise.race([inside.promise, Promise.all(open)])
      try {
        others = runConcurrently(TENANTS.slice(2, 8), 2, async (id) => {
          const { db } = await factory.getAdapters(id)
          await writeNote(db, 1, id)
          deepEqual(await readNotes(db), [id])
        })
        await others
      } finally {
        evicted.resolve()
        await Promise.allSettled(open)
      }
      await Promise.all(open)
      for (const id of long)
        deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName(id), SELECT_NOTES)), [
          `${id} before`,
          `${id} after`,
        ])
    },
  },
  {
    name: 'keeps the adapters of an evicted tenant bound to their own database',
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES, cache: { max: 2 } })
      const ids = TENANTS.slice(0, 6)
      await runConcurrently(ids, 3, (id) => factory.provision(id))
      const adapters = await Promise.all(
        ids.map(async (id) => ({ id, db: (await factory.getAdapters(id)).db })),
      )
      for (let round = 0; round < 3; round++)
        await Promise.all(
          adapters.map(({ id, db }) =>
            expectSuccess(`a write of ${id}`, () => writeNote(db, round, `${id} ${round}`)),
          ),
        )
      for (const { id, db } of adapters) deepEqual(await readNotes(db), [`${id} 0`, `${id} 1`, `${id} 2`])
      for (const { id } of adapters)
        deepEqual(toBodies(await t.oracle.query(await t.getDatabaseName(id), SELECT_NOTES)), [
          `${id} 0`,
          `${id} 1`,
          `${id} 2`,
        ])
    },
  },
  {
    name: "ends a database's connections when it is dropped, and all connections when the factory is closed",
    skip: ({ countConnections }) =>
      countConnections === undefined ? 'the harness counts no connections' : undefined,
    async run(t) {
      const factory = t.createFactory({ migrations: NOTES })
      for (const id of TENANTS.slice(0, 3)) {
        await factory.provision(id)
        await readNotes((await factory.getAdapters(id)).db)
      }
      const [first = ''] = TENANTS
      const name = await t.getDatabaseName(first)
      await factory.deprovision(first)
      equal(await t.harness.countConnections?.(name), 0, 'of the dropped database')
      await factory.close()
      equal(await t.harness.countConnections?.(), 0, 'after close')
    },
  },
])
