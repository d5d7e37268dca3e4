import type { TenantProvider } from '@tenantry/multi-tenancy/provider'
import { interceptKysely, type KyselyCall } from './intercept-kysely.ts'

/** One call of the service. `verify` is a query of the identity check on a new physical connection. */
export interface Call {
  /** The number of earlier calls of this wrapper. */
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
  /** The call's argument: a name, a locator or statements. */
  readonly subject: unknown
  /** Only for `batch`: runs its first `count` statements. */
  readonly partly?: (count: number) => Promise<void>
}

/** Decides about one call; `run` sends it to the service. */
export type Around = <Value>(call: Call, run: () => Promise<Value>) => Promise<Value>

export interface Intercepted<Client> {
  readonly provider: TenantProvider<Client>
  /** Rolls back all open Kysely transactions, as a server does when its client disappears. */
  abandon(): Promise<void>
}

/** Returns a provider whose calls of the service pass through `around`. */
export function interceptProvider<Client>(
  provider: TenantProvider<Client>,
  around: Around,
): Intercepted<Client> {
  const transactions = new Set<() => Promise<void>>()
  let calls = 0
  const pass = <Value>(
    member: Call['member'],
    subject: unknown,
    run: () => Promise<Value>,
    partly?: (count: number) => Promise<void>,
  ): Promise<Value> =>
    around({ index: calls++, member, subject, ...(partly === undefined ? {} : { partly }) }, run)

  const { create, find, drop, setAccess, list, connect, query, batch, batchWithoutForeignKeys, kysely } =
    provider
  return {
    provider: {
      ...provider,
      create: (name, options) => pass('create', name, () => create(name, options)),
      find: (name, options) => pass('find', name, () => find(name, options)),
      drop: (locator, options) => pass('drop', locator, () => drop(locator, options)),
      ...(setAccess && {
        setAccess: (locator, access, options) =>
          pass('setAccess', { locator, access }, () => setAccess(locator, access, options)),
      }),
      list: (listed, options) => pass('list', listed, () => list(listed, options)),
      connect: (target, options) => {
        const verify = (read: Parameters<typeof target.verify>[0]): Promise<void> =>
          target.verify((statement) => pass('verify', statement, () => read(statement)))
        return pass('connect', target.locator, () =>
          connect({ ...target, purpose: 'manage', verify }, options),
        )
      },
      query: (client, statement) => pass('query', statement, () => query(client, statement)),
      batch: (client, statements) =>
        pass(
          'batch',
          statements,
          () => batch(client, statements),
          (count) => batch(client, statements.slice(0, count)),
        ),
      ...(batchWithoutForeignKeys && {
        batchWithoutForeignKeys: (client, statements) =>
          pass('batch', statements, () => batchWithoutForeignKeys(client, statements)),
      }),
      kysely: (client) =>
        interceptKysely(kysely(client), transactions, (member, sql, run) => pass(member, sql, run)),
    },
    async abandon() {
      for (const rollback of transactions) await rollback().catch(() => {})
    },
  }
}
