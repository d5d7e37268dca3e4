import { neverAborted } from '@tenantry/test-support'
import type { Client, Pool } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createStatements } from '../src/client/statements.ts'
import { createTenantPool } from '../src/client/tenant-pool.ts'
import { toClientConfig } from '../src/connection-options.ts'
import { type Connection, openClient } from '../src/connections/connection.ts'
import { searchPath } from '../src/connections/scope.ts'
import { parseOptions } from '../src/options.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider } from './support.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  await database?.drop()
})

/** A client of one tenant over one connection, with the events of completed statements and cancels, in order. */
async function openTenant(): Promise<{ pool: Pool; events: string[]; close: () => Promise<void> }> {
  const provider = createProvider(database, { isolation: 'search_path' })
  const { locator } = await provider.create('cancelled', neverAborted)
  const { schema, oid, id } = locator as unknown as { schema: string; oid: number; id: string }
  const place = { server: 'default', schema, oid, id }
  const { servers } = parseOptions({ connection: database.url, secret: database.secret })
  const { parsed } = [...servers.values()][0] ?? expect.unreachable()
  const client = await openClient({ ...toClientConfig(parsed), pipeline: true }, neverAborted.signal)
  const { rows } = await client.query('SELECT pg_catalog.pg_backend_pid() AS pid')
  const events: string[] = []
  client.connection.on('commandComplete', ({ text }: { text: string }) => events.push(text))
  const connection: Connection = {
    client, kind: 'tenant', dirty: false, pending: 0, processID: rows[0].pid,
  } // biome-ignore format: one connection
  const rethrow = (error: unknown): never => {
    throw error
  }
  const pool = createTenantPool({
    lease: async () => ({ connection, release() {}, destroy() {} }),
    statements: createStatements({ place, path: searchPath(schema) }, 'session'),
    fail: async (error) => rethrow(error),
    throwClientError: rethrow,
    max: 1,
    onEnd() {},
    async cancel(action) {
      events.push(action)
      return true
    },
  })
  return {
    pool,
    events,
    async close() {
      await client.end()
      await provider.close()
    },
  }
}

it.each(['cancel', 'terminate'])(
  'sends %s only after the server has answered BEGIN and the scope',
  async (action) => {
    const { pool, events, close } = await openTenant()
    const client = await pool.connect()
    const { processID } = client as unknown as { processID: number }
    const control = new (pool as unknown as { Client: new () => Client }).Client()
    const statement = client.query('SELECT 1')
    await control.query(`select pg_${action}_backend(${processID})`)
    await statement
    const scope = events.slice(0, events.indexOf(action))
    expect(scope).toEqual(expect.arrayContaining(['BEGIN', 'SET', 'SELECT 1']))
    // A request that arrives late could end the next BEGIN: none is sent together with a statement any more.
    events.length = 0
    expect((await client.query('SELECT 2 AS two')).rows).toEqual([{ two: 2 }])
    expect(events).not.toContain('BEGIN')
    client.release()
    await close()
  },
)
