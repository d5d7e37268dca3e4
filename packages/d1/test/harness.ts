import type { Harness } from '@tenantry/conformance'
import { createD1Provider, type D1Access, type D1Database } from '../src/index.ts'
import { type Account, NAMESPACE } from './account/account.ts'

/** The ways of each run of the kit. Where `binding` comes first, a database that is being made may go by REST. */
export function waysOf({ env, dispatcher }: Account): Record<'rest' | 'dispatch' | 'binding', D1Access[]> {
  const secret = 'a secret of the whole app, long enough'
  return {
    rest: [{ kind: 'rest' }],
    dispatch: [{ kind: 'dispatch', namespace: NAMESPACE, secret, dispatcher }],
    binding: [{ kind: 'binding', env }],
  }
}

/** One account, shared by the cases: each has names of its own. The oracle looks past the API. */
export function createHarness(account: Account, access: readonly D1Access[]): Harness<D1Database> {
  const { accountId, apiToken, fetch } = account
  // Real time and no real limit: what the limit does is tested on a clock of its own.
  const another = () =>
    createD1Provider({ accountId, apiToken, fetch, access, pageSize: 10, rateLimit: 1_000_000 })
  return {
    provider: another(),
    another,
    secrets: [apiToken, 'a secret of the whole app, long enough'],
    manyDatabases: 23,
    oracle: {
      databases: async (prefix) =>
        [...account.databases.values()].flatMap(({ name }) => (name.startsWith(prefix) ? [name] : [])),
      query: (name, sql) => account.query(name, sql),
      async execute(name, sql) {
        await account.query(name, sql)
      },
    },
    cleanup: async () => {},
  }
}
