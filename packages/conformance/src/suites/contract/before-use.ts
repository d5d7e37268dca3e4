import { deepEqual, equal, ok } from 'node:assert/strict'
import { type ConnectTarget, TenancyError } from '@tenantry/multi-tenancy'
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

/** What `admit` decides, and when. */
export const contractAdmission: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'rejects every use of an existing client with the error of beforeUse, and does not reach the database',
    async run(t) {
      const refusal = new TenancyError('tenant_suspended', 'refused by the case')
      let refusing = false
      let asked = 0
      const client = await connected(t, async () => {
        asked++
        if (refusing) throw refusal
      })
      const uses = usesOf(t, client)
      refusing = true
      for (const [use, run] of uses) {
        const before = asked
        const cause = await run().then(
          () => undefined,
          (thrown: unknown) => ({ thrown }),
        )
        ok(cause !== undefined, `${use} succeeded, though admission is refused`)
        equal(t.provider.mapError(cause.thrown), refusal, `${use} ended in another error`)
        ok(asked > before, `${use} did not ask`)
      }
      deepEqual(
        toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)),
        ['first'],
        'as the oracle sees it',
      )
      refusing = false
      for (const [use, run] of uses) {
        const before = asked
        await run()
        ok(asked > before, `${use} did not ask`)
      }
    },
  },
  {
    name: 'waits for beforeUse before a use reaches the database',
    async run(t) {
      let gate: Promise<void> = Promise.resolve()
      const client = await connected(t, () => gate)
      for (const [use, run] of usesOf(t, client)) {
        const admission = Promise.withResolvers<void>()
        gate = admission.promise
        const before = await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)
        let settled = false
        const running = run().finally(() => {
          settled = true
        })
        // Answered: an unwaiting client had the time for its own statement.
        for (let look = 0; look < 3; look++) {
          deepEqual(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES), before, `${use} wrote unadmitted`)
          await new Promise((resolve) => setImmediate(resolve))
        }
        const early = settled
        admission.resolve()
        await running
        equal(early, false, `${use} ended before it was admitted`)
      }
    },
  },
])

/** A client that asks `admit`, of a database with one note. */
async function connected(
  t: ConformanceContext,
  admit: NonNullable<ConnectTarget['beforeUse']>,
): Promise<unknown> {
  const { provider, call, prefix, dialect } = t
  const { locator } = await provider.create(`${prefix}a`, call)
  const client = await provider.connect(
    { locator, purpose: 'serve', verify: async () => {}, beforeUse: admit },
    call,
  )
  await provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(dialect, 1, 'first')])
  return client
}

/** The ways to use a client; each write has a row of its own. */
function usesOf(t: ConformanceContext, client: unknown): [string, () => Promise<unknown>][] {
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
