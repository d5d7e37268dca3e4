import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ConnectTarget, TenancyError } from '@tenantry/multi-tenancy/provider'
import { type ConformanceCase, defineCases } from '../../case.ts'
import type { ConformanceContext } from '../../context.ts'
import {
  CREATE_NOTES,
  insertNote,
  readNotes,
  SELECT_NOTES,
  toBodies,
  writeNote,
} from '../../support/notes.ts'

/** `beforeUse`, which decides whether a client may be used. */
export const contractBeforeUse: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'rejects every use of an existing client with the error of beforeUse, and does not reach the database',
    async run(t) {
      const rejection = new TenancyError('tenant_suspended', 'rejected by the case')
      let isRejecting = false
      let calls = 0
      const client = await connect(t, async () => {
        calls++
        if (isRejecting) throw rejection
      })
      const uses = listUses(t, client)
      isRejecting = true
      for (const [use, run] of uses) {
        const before = calls
        const failure = await run().then(
          () => undefined,
          (error: unknown) => ({ error }),
        )
        ok(failure !== undefined, `${use} succeeded, though beforeUse throws`)
        equal(t.provider.mapError(failure.error), rejection, `${use} ended in another error`)
        ok(calls > before, `${use} did not call beforeUse`)
      }
      const rows = await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)
      deepEqual(toBodies(rows), ['first'], 'rows that the oracle reads')
      isRejecting = false
      for (const [use, run] of uses) {
        const before = calls
        await run()
        ok(calls > before, `${use} did not call beforeUse`)
      }
    },
  },
  {
    name: 'waits for beforeUse before a use reaches the database',
    async run(t) {
      let pending: Promise<void> = Promise.resolve()
      const client = await connect(t, () => pending)
      for (const [use, run] of listUses(t, client)) {
        const admission = Promise.withResolvers<void>()
        pending = admission.promise
        const before = await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)
        let hasEnded = false
        const running = run().finally(() => {
          hasEnded = true
        })
        // Three queries of the oracle take longer than the statement of a client that does not wait.
        for (let query = 0; query < 3; query++) {
          const rows = await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)
          deepEqual(rows, before, `${use} wrote before beforeUse had resolved`)
          await new Promise((resolve) => setImmediate(resolve))
        }
        const endedEarly = hasEnded
        admission.resolve()
        await running
        equal(endedEarly, false, `${use} ended before beforeUse had resolved`)
      }
    },
  },
])

/** Connects with `beforeUse` to a database that has one note. */
async function connect(
  t: ConformanceContext,
  beforeUse: NonNullable<ConnectTarget['beforeUse']>,
): Promise<unknown> {
  const { provider, call, prefix, dialect } = t
  const { locator } = await provider.create(`${prefix}a`, call)
  const client = await provider.connect(
    { locator, purpose: 'serve', verify: async () => {}, beforeUse },
    call,
  )
  await provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(dialect, 1, 'first')])
  return client
}

/** Returns every way to use a client. Each write inserts a row of its own. */
function listUses(t: ConformanceContext, client: unknown): [string, () => Promise<unknown>][] {
  const { provider, dialect } = t
  const db = provider.kysely(client)
  let id = 1
  const uses: [string, () => Promise<unknown>][] = [
    ['a query', () => provider.query(client, { sql: SELECT_NOTES })],
    ['a batch', () => provider.batch(client, [insertNote(dialect, ++id, 'of a batch')])],
    ['a Kysely query', () => readNotes(db)],
    ['a Kysely write', () => writeNote(db, ++id, 'of Kysely')],
  ]
  if (provider.capabilities.transactions) {
    uses.push([
      'a transaction',
      () => db.transaction().execute((trx) => writeNote(trx, ++id, 'of a transaction')),
    ])
  }
  return uses
}
