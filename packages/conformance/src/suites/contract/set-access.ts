import { deepEqual, equal, ok } from 'node:assert/strict'
import type { ConnectTarget, Locator, TenantProvider } from '@tenantry/multi-tenancy'
import { type ConformanceCase, suite } from '../../case.ts'
import type { ConformanceContext } from '../../context.ts'
import type { Harness } from '../../harness.ts'
import { refusesMapped, succeeds } from '../../support/expect-error.ts'
import {
  bodies,
  CREATE_NOTES,
  countTables,
  insertNote,
  SELECT_NOTES,
  writeNote,
} from '../../support/notes.ts'

type SetAccess = NonNullable<TenantProvider<unknown>['setAccess']>

const cases: readonly Omit<ConformanceCase, 'suite'>[] = [
  {
    name: 'a closed database answers nobody: no client from before and no new one, in no process',
    async run(t) {
      const { locator, setAccess, holders } = await notesOf(t, `${t.prefix}a`)
      await setAccess(locator, 'closed', t.call)
      for (const { whose, provider, client } of holders) {
        await refusesMapped(`a read by ${whose} from before`, provider.mapError, () =>
          provider.query(client, { sql: SELECT_NOTES }),
        )
        await refusesMapped(`a write by ${whose} from before`, provider.mapError, () =>
          provider.batch(client, [insertNote(t.dialect, 2, 'written while closed')]),
        )
      }
      const newcomers = [...holders.map(({ provider }) => provider), t.another()]
      for (const provider of newcomers) {
        await refusesMapped('a new client', provider.mapError, () => read(t, locator, provider))
      }
      await setAccess(locator, 'open', t.call)
      deepEqual(await read(t, locator), ['first'])
    },
  },
  {
    name: 'who is refused by a closed database is told tenant_suspended: a client in use, and a new one',
    async run(t) {
      const { locator, setAccess, holders } = await notesOf(t, `${t.prefix}a`)
      await setAccess(locator, 'closed', t.call)
      const told = async (
        whose: string,
        { mapError }: TenantProvider<unknown>,
        use: () => Promise<unknown>,
      ) => equal((await refusesMapped(whose, mapError, use)).code, 'tenant_suspended', whose)
      for (const { whose, provider, client } of holders) {
        const use = (): Promise<unknown> => provider.query(client, { sql: SELECT_NOTES })
        // The first use may be what notices that the closing has ended an idle connection.
        await use().catch(() => {})
        await told(`a read by ${whose}`, provider, use)
        await told(`a write by ${whose}`, provider, () =>
          provider.batch(client, [insertNote(t.dialect, 2, 'written while closed')]),
        )
      }
      for (const provider of [t.provider, t.another()]) {
        for (const purpose of ['manage', 'serve'] as const)
          await told(`a new client, to ${purpose}`, provider, () => read(t, locator, provider, purpose))
      }
    },
  },
  {
    name: 'a transaction that is open as its database is closed gets no further',
    skip: ({ provider }) =>
      provider.setAccess === undefined
        ? 'the provider has no setAccess'
        : provider.capabilities.transactions
          ? undefined
          : 'transactions is false',
    async run(t) {
      const { provider, call } = t
      const { locator, setAccess, holders } = await notesOf(t, `${t.prefix}a`)
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
              () => 'went on',
              () => 'refused',
            )
          })
        await Promise.race([inside.promise, transaction])
        await provider.setAccess?.(locator, 'closed', call).finally(closed.resolve)
        await refusesMapped(`the transaction of ${whose}`, over.mapError, () => transaction)
        equal(outcome, 'refused', `a statement of ${whose}`)
        await setAccess(locator, 'open', call)
        deepEqual(await read(t, locator), ['first'], `after the transaction of ${whose}`)
      }
    },
  },
  {
    name: 'opened again, a closed database has all of its data, for clients from before too',
    async run(t) {
      const { locator, setAccess, holders } = await notesOf(t, `${t.prefix}a`)
      await setAccess(locator, 'closed', t.call)
      for (const { provider, client } of holders) {
        await provider.query(client, { sql: SELECT_NOTES }).catch(() => {})
      }
      await setAccess(locator, 'open', t.call)
      for (const provider of [t.provider, t.another()]) {
        deepEqual(await succeeds('a new client', () => read(t, locator, provider)), ['first'])
      }
      for (const { whose, provider, client } of holders) {
        const rows = await succeeds(whose, () => provider.query(client, { sql: SELECT_NOTES }))
        deepEqual(bodies(rows), ['first'], whose)
      }
      deepEqual(bodies(await t.oracle.query(`${t.prefix}a`, SELECT_NOTES)), ['first'])
    },
  },
  {
    name: 'closing what is closed and opening what is open succeed, here and in another process',
    async run(t) {
      const { locator, setAccess } = await notesOf(t, `${t.prefix}a`)
      const elsewhere = setAccessOf(t.another())
      for (const access of ['open', 'closed', 'open'] as const) {
        for (const [whose, set] of [
          ['here', setAccess],
          ['here again', setAccess],
          ['in another process', elsewhere],
        ] as const) {
          await succeeds(`${access} ${whose}`, () => set(locator, access, t.call))
        }
      }
      deepEqual(await read(t, locator), ['first'])
    },
  },
  {
    name: 'closing a database spares all others',
    async run(t) {
      const { locator, setAccess } = await notesOf(t, `${t.prefix}a`)
      const others = [`${t.prefix}a2`, `${t.prefix}a-b`, `${t.prefix}b`]
      const made = []
      for (const name of others) made.push({ name, ...(await notesOf(t, name)) })
      await setAccess(locator, 'closed', t.call)
      for (const { name, locator: other, holders } of made) {
        for (const { whose, provider, client } of holders) {
          await succeeds(`${whose} of ${name}`, () => provider.query(client, { sql: SELECT_NOTES }))
        }
        deepEqual(await succeeds(`a new client of ${name}`, () => read(t, other)), ['first'])
      }
    },
  },
  {
    name: 'a closed database is found, listed, and dropped whole; one made anew under its name is open',
    async run(t) {
      const { provider, call, prefix, oracle, dialect } = t
      const name = `${prefix}a`
      const { locator, setAccess } = await notesOf(t, name)
      await setAccess(locator, 'closed', call)
      ok((await provider.find(name, call)) !== undefined, 'a closed database is not found')
      equal((await provider.create(name, call)).created, false, 'create of a closed database')
      const { databases } = await provider.list({ prefix }, call)
      deepEqual(
        databases.map((each) => each.name),
        [name],
        'the list',
      )
      await succeeds('drop', () => provider.drop(locator, call))
      deepEqual(await oracle.databases(prefix), [], 'drop left it')
      equal((await provider.create(name, call)).created, true)
      const client = await t.open(name)
      const rows = await succeeds('the database made anew', () =>
        provider.query(client, { sql: countTables(dialect, 'notes') }),
      )
      equal(Number(rows[0]?.tables), 0)
    },
  },
  {
    name: 'setAccess of what is gone makes nothing',
    async run(t) {
      const { provider, call, prefix, oracle } = t
      const { locator, setAccess } = await notesOf(t, `${prefix}a`)
      await provider.drop(locator, call)
      for (const access of ['closed', 'open'] as const) {
        await setAccess(locator, access, call).catch((cause: unknown) => {
          equal(provider.mapError(cause).code, 'tenant_not_found', `setAccess ${access}`)
        })
      }
      deepEqual(await oracle.databases(prefix), [])
      equal((await provider.create(`${prefix}a`, call)).created, true)
      const client = await t.open(`${prefix}a`)
      await succeeds('the next database of the name', () =>
        provider.query(client, { sql: 'SELECT 1 AS one' }),
      )
    },
  },
]

/** setAccess: a database shut in every process, and opened again. */
export const contractAccess: readonly ConformanceCase[] = suite(
  'contract',
  cases.map((each) => ({ skip: withoutSetAccess, ...each })),
)

function withoutSetAccess({ provider }: Harness): string | undefined {
  return provider.setAccess === undefined ? 'the provider has no setAccess' : undefined
}

function setAccessOf({ setAccess }: TenantProvider<unknown>): SetAccess {
  ok(setAccess !== undefined, 'another provider of the same service has no setAccess')
  return setAccess
}

interface Holder {
  readonly whose: string
  readonly provider: TenantProvider<unknown>
  readonly client: unknown
}

/** A database with one note, and clients of it that have been used: this process's and another's. */
async function notesOf(
  t: ConformanceContext,
  name: string,
): Promise<{ locator: Locator; setAccess: SetAccess; holders: Holder[] }> {
  const { provider, call, dialect } = t
  const { locator } = await provider.create(name, call)
  const holders: Holder[] = []
  for (const [whose, over] of [
    ['a client', provider],
    ['another process’s client', t.another()],
  ] as const) {
    const client = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    if (holders.length === 0) {
      await over.batch(client, [{ sql: CREATE_NOTES }, insertNote(dialect, 1, 'first')])
    }
    await over.query(client, { sql: SELECT_NOTES })
    holders.push({ whose, provider: over, client })
  }
  return { locator, setAccess: setAccessOf(provider), holders }
}

async function read(
  { call, provider }: ConformanceContext,
  locator: Locator,
  over: TenantProvider<unknown> = provider,
  purpose: ConnectTarget['purpose'] = 'manage',
): Promise<string[]> {
  const client = await over.connect({ locator, purpose, verify: async () => {} }, call)
  return bodies(await over.query(client, { sql: SELECT_NOTES }))
}
