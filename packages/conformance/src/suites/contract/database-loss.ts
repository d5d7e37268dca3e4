import { equal, ok } from 'node:assert/strict'
import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { type ConformanceCase, defineCases } from '../../case.ts'
import type { ConformanceContext } from '../../context.ts'
import { expectMappedError } from '../../support/expect-error.ts'
import { CREATE_NOTES, insertNote, SELECT_NOTES } from '../../support/notes.ts'

/** Uses after which a client must have noticed that its database is gone: the first may only end a connection. */
const USES = 3

/** `onDatabaseGone`, by which a client in use reports that its database no longer exists. */
export const contractDatabaseLoss: readonly ConformanceCase[] = defineCases('contract', [
  {
    name: 'calls onDatabaseGone when a client in use finds that its database was dropped',
    async run(t) {
      const { use, countCalls } = await connectForServing(t)
      await dropElsewhere(t)
      for (let attempt = 0; attempt < USES; attempt++)
        await expectMappedError('a use after the drop', t.provider.mapError, use)
      ok(countCalls() > 0, 'onDatabaseGone was not called')
    },
  },
  {
    name: 'calls onDatabaseGone when a client in use finds another database of the same name',
    async run(t) {
      const { use, countCalls } = await connectForServing(t)
      const other = await dropElsewhere(t)
      await createNotes(t, other)
      for (let attempt = 0; attempt < USES; attempt++)
        await expectMappedError('a use after the database was replaced', t.provider.mapError, use)
      ok(countCalls() > 0, 'onDatabaseGone was not called')
    },
  },
  {
    name: 'does not call onDatabaseGone for a failed statement or a closed database',
    async run(t) {
      const { provider, call } = t
      const { client, use, countCalls } = await connectForServing(t)
      await expectMappedError('a query of a missing table', provider.mapError, () =>
        provider.query(client, { sql: 'SELECT * FROM missing' }),
      )
      await expectMappedError('a duplicate key', provider.mapError, () =>
        provider.batch(client, [insertNote(t.dialect, 1, 'again')]),
      )
      const locator = await provider.find(`${t.prefix}a`, call)
      if (provider.setAccess !== undefined && locator !== undefined) {
        await provider.setAccess(locator, 'closed', call)
        await expectMappedError('a use of a closed database', provider.mapError, use)
        await provider.setAccess(locator, 'open', call)
      }
      await use()
      equal(countCalls(), 0, 'calls of onDatabaseGone')
    },
  },
])

interface ServingClient {
  readonly client: unknown
  use(): Promise<unknown>
  countCalls(): number
}

/** Connects as a factory does for requests, and uses the client once. */
async function connectForServing(t: ConformanceContext): Promise<ServingClient> {
  const { provider, call } = t
  await createNotes(t, provider)
  const locator = await provider.find(`${t.prefix}a`, call)
  ok(locator !== undefined)
  let calls = 0
  const onDatabaseGone = (): void => {
    calls++
  }
  const client = await provider.connect(
    { locator, purpose: 'serve', verify: async () => {}, onDatabaseGone },
    call,
  )
  const use = (): Promise<unknown> => provider.query(client, { sql: SELECT_NOTES })
  await use()
  return { client, use, countCalls: () => calls }
}

async function createNotes(t: ConformanceContext, provider: TenantProvider<unknown>): Promise<void> {
  const client = await t.open(`${t.prefix}a`, provider)
  await provider.batch(client, [{ sql: CREATE_NOTES }, insertNote(t.dialect, 1, 'first')])
}

/** Drops the database as another process does, and returns that process's provider. */
async function dropElsewhere(t: ConformanceContext): Promise<TenantProvider<unknown>> {
  const other = t.createProvider()
  const locator = await other.find(`${t.prefix}a`, t.call)
  ok(locator !== undefined)
  await other.drop(locator, t.call)
  return other
}
