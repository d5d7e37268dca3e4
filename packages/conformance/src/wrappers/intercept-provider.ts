import type { TenantProvider } from '@tenantry/multi-tenancy'
import { interceptKysely, type KyselyCall } from './intercept-kysely.ts'

/** One call that reaches the service. `verify` is a query of the identity check on a provider's own connection. */
export interface Call {
  /** Its place among all calls of this wrapper, from 0. */
  readonly index: number
  readonly member:
    | 'create'
    | 'find'
    | 'drop'
    | 'setAccess'
    | 'list'
    | 'connect'
    | 'verify'
    | 'query'
    | 'batch'
    | KyselyCall
  /** What the call was given: a name, a locator, statements. */
  readonly subject: unknown
  /** Only for `batch`: runs its first `count` statements. */
  readonly partly?: (count: number) => Promise<void>
}

/** Stands around each call; `run` makes it. */
export type Around = <Value>(call: Call, run: () => Promise<Value>) => Promise<Value>

export interface Intercepted<Client> {
  readonly provider: TenantProvider<Client>
  /** Rolls back the Kysely transactions that are open, as a server does for a client that is gone. */
  abandon(): Promise<void>
}

/** A provider of which every call that reaches the service goes through `around`. */
export function interceptProvider<Client>(
  provider: TenantProvider<Client>,
  around: Around,
): Intercepted<Client> {
  const transactions = new Set<() => Promise<void>>()
  let calls = 0
  const passing = <Value>(
    member: Call['member'],
    subject: unknown,
    run: () => Promise<Value>,
    partly?: (count: number) => Promise<void>,
  ): Promise<Value> =>
    around({ index: calls++, member, subject, ...(partly === undefined ? {} : { partly }) }, run)

  const { create, find, drop, setAccess, list, connect, query, batch, kysely } = provider
  return {
    provider: {
      ...provider,
      create: (name, options) => passing('create', name, () => create(name, options)),
      find: (name, options) => passing('find', name, () => find(name, options)),
      drop: (locator, options) => passing('drop', locator, () => drop(locator, options)),
      ...(setAccess && {
        setAccess: (locator, access, options) =>
          passing('setAccess', { locator, access }, () => setAccess(locator, access, options)),
      }),
      list: (listed, options) => passing('list', listed, () => list(listed, options)),
      connect: (target, options) => {
        const verify = (read: Parameters<typeof target.verify>[0]): Promise<void> =>
          target.verify((statement) => passing('verify', statement, () => read(statement)))
        return passing('connect', target.locator, () =>
          connect({ ...target, purpose: 'manage', verify }, options),
        )
      },
      query: (client, statement) => passing('query', statement, () => query(client, statement)),
      batch: (client, statements) =>
        passing(
          'batch',
          statements,
          () => batch(client, statements),
          (count) => batch(client, statements.slice(0, count)),
        ),
      kysely: (client) =>
        interceptKysely(kysely(client), transactions, (member, sql, run) => passing(member, sql, run)),
    },
    async abandon() {
      for (const rollback of transactions) await rollback().catch(() => {})
    },
  }
}
