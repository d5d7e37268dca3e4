import { deepEqual, equal, ok } from 'node:assert/strict'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { type ConformanceCase, defineCases } from '../../case.ts'
import type { Harness } from '../../harness.ts'
import { expectMappedError, expectSuccess } from '../../support/expect-error.ts'
import { countTables, insertNote, SELECT_NOTES, toBodies, writeNote } from '../../support/notes.ts'
import { createNotes, readBodies, requireSetAccess } from './notes-database.ts'

const cases: readonly Omit<ConformanceCase, 'suite'>[] = [
  {
    name: 'rejects existing and new clients of a closed database in every process',
    async run(t) {
      const { locator, setAccess, holders } = await createNotes(t, `${t.prefix}a`)
      await setAccess(locator, 'closed', t.call)
      for (const { whose, provider, client } of holders) {
        await expectMappedError(`a read by ${whose} from before`, provider.mapError, () =>
          provider.query(client, { sql: SELECT_NOTES }),
        )
        await expectMappedError(`a write by ${whose} from before`, provider.mapError, () =>
          provider.batch(client, [insertNote(t.dialect, 2, 'written while closed')]),
        )
      }
      for (const provider of [...holders.map((holder) => holder.provider), t.createProvider()]) {
        await expectMappedError('a new client', provider.mapError, () => readBodies(t, locator, { provider }))
      }
      await setAccess(locator, 'open', t.call)
      deepEqual(await readBodies(t, locator), ['first'])
    },
  },
  {
    name: 'reports tenant_suspended to existing and new clients of a closed database',
    async run(t) {
      const { locator, setAccess, holders } = await createNotes(t, `${t.prefix}a`)
      await setAccess(locator, 'closed', t.call)
      const expectSuspended = async (
        use: string,
        { mapError }: TenantProvider<unknown>,
        run: () => Promise<unknown>,
      ) => equal((await expectMappedError(use, mapError, run)).code, 'tenant_suspended', use)
      for (const { whose, provider, client } of holders) {
        const read = (): Promise<unknown> => provider.query(client, { sql: SELECT_NOTES })
        // The first use may be the one that notices that an idle connection has been closed.
        await read().catch(() => {})
        await expectSuspended(`a read by ${whose}`, provider, read)
        await expectSuspended(`a write by ${whose}`, provider, () =>
          provider.batch(client, [insertNote(t.dialect, 2, 'written while closed')]),
        )
      }
      for (const provider of [t.provider, t.createProvider()]) {
        for (const purpose of ['manage', 'serve'] as const)
          await expectSuspended(`a new client, to ${purpose}`, provider, () =>
            readBodies(t, locator, { provider, purpose }),
          )
      }
    },
  },
  {
    name: 'rejects the next statement of a transaction whose database is closed',
    skip: ({ provider }) =>
      provider.setAccess === undefined
        ? 'the provider has no setAccess'
        : provider.capabilities.transactions
          ? undefined
          : 'transactions is false',
    async run(t) {
      const { provider, call } = t
      const { locator, setAccess, holders } = await createNotes(t, `${t.prefix}a`)
      for (const { whose, provider: over, client } of holders) {
        const inside = Promise.withResolvers<void>()
        const closed = Promise.withResolvers<void>()
        let outcome = 'ended before the database was closed'
        const transaction = over
          .kysely(client)
          .transaction()
          .execute(async (trx) => {
            await writeNote(trx, 2, 'before it was closed')
            inside.resolve()
            await closed.promise
            outcome = await writeNote(trx, 3, 'while closed').then(
              () => 'succeeded',
              () => 'rejected',
            )
          })
        await Promise.race([inside.promise, transaction])
        await provider.setAccess?.(locator, 'closed', call).finally(closed.resolve)
        await expectMappedError(`the transaction of ${whose}`, over.mapError, () => transaction)
        equal(outcome, 'rejected', `a statement of ${whose}`)
        await setAccess(locator, 'open', call)
        deepEqual(await readBodies(t, locator), ['first'], `after the transaction of ${whose}`)
      }
    },
  },
  {
    name: 'serves all data of a reopened database, also to existing clients',
    async run(t) {
      const { locator, setAccess, holders } = await createNotes(t, `${t.prefix}a`)
      await setAccess(locator, 'closed', t.call)
      for (const { provider, client } of holders) {
        await provider.query(client, { sql: SELECT_NOTES }).catch(() => {})
      }
      await setAccess(locator, 'open', t.call)
      for (const provider of [t.provider, t.createProvider()]) {
        deepEqual(await expectSuccess('a new client', () => readBodies(t, locator, { provider })), ['first'])
      }
      for (const { whose, provider, client } of holders) {
        const rows = await expectSuccess(whose, () => provider.query(client, { sql: SELECT_NOTES }))
        deepEqual(toBodies(rows), ['first'], whose)
      }
      deepEqual(toBodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['first'])
    },
  },
  {
    name: 'succeeds when it closes a closed database or opens an open one, in any process',
    async run(t) {
      const { locator, setAccess } = await createNotes(t, `${t.prefix}a`)
      const otherSetAccess = requireSetAccess(t.createProvider())
      for (const access of ['open', 'closed', 'open'] as const) {
        for (const [whose, set] of [
          ['here', setAccess],
          ['here again', setAccess],
          ['in another process', otherSetAccess],
        ] as const) {
          await expectSuccess(`${access} ${whose}`, () => set(locator, access, t.call))
        }
      }
      deepEqual(await readBodies(t, locator), ['first'])
    },
  },
  {
    name: 'leaves every other database open when it closes one',
    async run(t) {
      const { locator, setAccess } = await createNotes(t, `${t.prefix}a`)
      const others = [`${t.prefix}a2`, `${t.prefix}a-b`, `${t.prefix}b`]
      const databases = []
      for (const name of others) databases.push({ name, ...(await createNotes(t, name)) })
      await setAccess(locator, 'closed', t.call)
      for (const { name, locator: other, holders } of databases) {
        for (const { whose, provider, client } of holders) {
          await expectSuccess(`${whose} of ${name}`, () => provider.query(client, { sql: SELECT_NOTES }))
        }
        deepEqual(await expectSuccess(`a new client of ${name}`, () => readBodies(t, other)), ['first'])
      }
    },
  },
  {
    name: 'finds, lists and drops a closed database, and opens a new one of the same name',
    async run(t) {
      const { provider, call, prefix, oracle, dialect } = t
      const name = `${prefix}a`
      const { locator, setAccess } = await createNotes(t, name)
      await setAccess(locator, 'closed', call)
      ok((await provider.find(name, call)) !== undefined, 'find returned undefined for a closed database')
      equal((await provider.create(name, call)).created, false, 'create of a closed database')
      const { databases } = await provider.list({ prefix }, call)
      deepEqual(
        databases.map((each) => each.name),
        [name],
        'the list',
      )
      await expectSuccess('drop', () => provider.drop(locator, call))
      deepEqual(await oracle.listDatabases(prefix), [], 'databases after the drop')
      equal((await provider.create(name, call)).created, true)
      const client = await t.open(name)
      const rows = await expectSuccess('a query of the new database', () =>
        provider.query(client, { sql: countTables(dialect, 'notes') }),
      )
      equal(Number(rows[0]?.tables), 0)
    },
  },
  {
    name: 'creates nothing when it closes or opens a database that no longer exists',
    async run(t) {
      const { provider, call, prefix, oracle } = t
      const { locator, setAccess } = await createNotes(t, `${prefix}a`)
      await provider.drop(locator, call)
      for (const access of ['closed', 'open'] as const) {
        await setAccess(locator, access, call).catch((cause: unknown) => {
          equal(provider.mapError(cause).code, 'tenant_not_found', `setAccess ${access}`)
        })
      }
      deepEqual(await oracle.listDatabases(prefix), [])
      equal((await provider.create(`${prefix}a`, call)).created, true)
      const client = await t.open(`${prefix}a`)
      await expectSuccess('the next database of the name', () =>
        provider.query(client, { sql: 'SELECT 1 AS one' }),
      )
    },
  },
]

/** `setAccess`, which closes a database in every process and opens it again. */
export const contractAccess: readonly ConformanceCase[] = defineCases(
  'contract',
  cases.map((each) => ({ skip: withoutSetAccess, ...each })),
)

function withoutSetAccess({ provider }: Harness): string | undefined {
  return provider.setAccess === undefined ? 'the provider has no setAccess' : undefined
}
