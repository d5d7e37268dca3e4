import type { CallOptions, Locator, TenantProvider } from '@tenantry/multi-tenancy/provider'
import type { Pool, RowDataPacket } from 'mysql2/promise'
import { inject } from 'vitest'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'
import { openRoot, randomName, rowsOf, SECRET } from './harness.ts'

/** A call nobody gives up. */
export const call: CallOptions = { signal: new AbortController().signal }

/** A provider with a registry and names of its own, and root beside it. Everything of it goes with `end`. */
export interface World {
  readonly root: Pool
  readonly provider: TenantProvider<Pool>
  readonly registry: string
  /** Starts the names of this world's databases. */
  readonly prefix: string
  /** Another process's provider. */
  another(options?: Partial<MysqlProviderOptions>): TenantProvider<Pool>
  sql(text: string, values?: unknown[]): Promise<RowDataPacket[]>
  /** Makes or finds a database, with a table `notes`, and connects. */
  open(
    name: string,
    provider?: TenantProvider<Pool>,
  ): Promise<{ client: Pool; locator: Locator; name: string }>
  userOf(locator: Locator): string
  /** Rolls back a prepared XA transaction of a connection that is being ended. */
  rollBack(xid: string, connection: number): Promise<void>
  end(): Promise<void>
}

export function createWorld(
  options: Partial<MysqlProviderOptions> = {},
  url: string = inject('mysqlUrl'),
): World {
  const root = openRoot(url)
  const registry = randomName('tenantry_test_')
  const prefix = `${randomName('w')}_`
  const providers: TenantProvider<Pool>[] = []

  function another(more: Partial<MysqlProviderOptions> = {}): TenantProvider<Pool> {
    const provider = createMysqlProvider({ connection: url, secret: SECRET, registry, ...options, ...more })
    providers.push(provider)
    return provider
  }

  const provider = another()
  return {
    root,
    provider,
    registry,
    prefix,
    another,
    sql: (text, values) => rowsOf(root, text, values),
    async open(end, over = provider) {
      const name = prefix + end
      const { locator } = await over.create(name, call)
      const client = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await client.query('CREATE TABLE IF NOT EXISTS notes (id INT PRIMARY KEY, body VARCHAR(100))')
      return { client, locator, name }
    },
    async rollBack(xid, connection) {
      // Before the server has let go of it, it would say that it did and hold the locks for ever.
      for (const found of [
        'SELECT 1 FROM information_schema.processlist WHERE id = ?',
        'SELECT 1 FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = ?',
      ])
        while ((await rowsOf(root, found, [connection])).length > 0);
      await root.query(`XA ROLLBACK ${xid}`)
    },
    userOf: ({ id }) => `tenantry_${id}`,
    async end() {
      for (const each of providers) await each.close()
      const sweeper = createMysqlProvider({ connection: url, secret: SECRET, registry })
      const { databases } = await sweeper.list({ prefix }, call)
      for (const { locator } of databases) await sweeper.drop(locator, call)
      await sweeper.close()
      await root.query(`DROP DATABASE IF EXISTS \`${registry}\``)
      await root.end()
    },
  }
}
