import { neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { type OwnServer, startServer } from './server.ts'
import { createProvider } from './support.ts'

// A server of its own: while all its locks are in use, no other session gets one.
let server: OwnServer
let database: TestDatabase
beforeAll(async () => {
  server = await startServer()
  database = await createDatabase(server)
}, 60_000)
afterAll(async () => {
  await database?.drop()
  await server?.stop()
}, 60_000)

it("drops three thousand tables with the server's default number of locks", async () => {
  const provider = createProvider(database)
  const { locator } = await provider.create('large_a', neverAborted)
  for (let part = 0; part < 6; part++) {
    await database.sql(
      `DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE large_a.t_${part}_%s (id serial PRIMARY KEY, a text)', i); END LOOP; END $$`,
    )
  }
  await database.sql(
    'CREATE VIEW large_a.v AS SELECT a.id FROM large_a.t_1_1 a JOIN large_a.t_2_1 b USING (id)',
  )
  expect(
    await database
      .sql("DO $$ BEGIN EXECUTE 'DROP SCHEMA large_a CASCADE'; RAISE EXCEPTION 'undone'; END $$")
      .catch((error) => error.code),
  ).toBe('53200')
  // The server releases the locks of the failed statement only after it has sent the error.
  await database.sql('SELECT 1')
  await provider.drop(locator, neverAborted)
  expect(await provider.find('large_a', neverAborted)).toBeUndefined()
  await provider.close()
}, 60_000)
