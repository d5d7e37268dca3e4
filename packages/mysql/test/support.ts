import type { Locator, TenantProvider } from '@tenantry/multi-tenancy/provider'
import { neverAborted as call } from '@tenantry/test-support'
import type { Pool, RowDataPacket } from 'mysql2/promise'
import { inject } from 'vitest'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'
import { openRoot, randomName, readRows, SECRET } from './harness.ts'

export { call }

/** A provider with a registry and a name prefix of its own, and a pool of root. `end` removes their databases and users. */
export interface TestEnvironment {
  readonly root: Pool
  readonly provider: TenantProvider<Pool>
  readonly registry: string
  /** The prefix of this environment's database names. */
  readonly prefix: string
  /** Creates a provider as another process would have it. */
  another(options?: Partial<MysqlProviderOptions>): TenantProvider<Pool>
  sql(text: string, values?: unknown[]): Promise<RowDataPacket[]>
  /** Creates or finds a database with a table `notes`, and connects. */
  open(
    name: string,
    provider?: TenantProvider<Pool>,
  ): Promise<{ client: Pool; locator: Locator; name: string }>
  userName(locator: Locator): string
  /** Rolls back a prepared XA transaction of a connection that is being ended. */
  rollBack(xid: string, connection: number): Promise<void>
  end(): Promise<void>
}

export function createTestEnvironment(
  options: Partial<MysqlProviderOptions> = {},
  url: string = inject('mysqlUrl'),
): TestEnvironment {
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
    sql: (text, values) => readRows(root, text, values),
    async open(end, over = provider) {
      const name = prefix + end
      const { locator } = await over.create(name, call)
      const client = await over.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await client.query('CREATE TABLE IF NOT EXISTS notes (id INT PRIMARY KEY, body VARCHAR(100))')
      return { client, locator, name }
    },
    async rollBack(xid, connection) {
      // Before the connection has ended, the server would accept the rollback and keep the locks permanently.
      for (const query of [
        'SELECT 1 FROM information_schema.processlist WHERE id = ?',
        'SELECT 1 FROM information_schema.innodb_trx WHERE trx_mysql_thread_id = ?',
      ])
        while ((await readRows(root, query, [connection])).length > 0);
      await root.query(`XA ROLLBACK ${xid}`)
    },
    userName: ({ id }) => `tenantry_${id}`,
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
