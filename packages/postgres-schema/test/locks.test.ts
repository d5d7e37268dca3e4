import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { type OwnServer, startServer } from './server.ts'
import { call, providerOf } from './support.ts'

// A server of its own: while its locks are used up, nobody else on it gets any.
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

it('drops three thousand tables at the server’s default locks', async () => {
  const provider = providerOf(database)
  const { locator } = await provider.create('large_a', call)
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
  // The server gives the locks of the failure back after it has told of it.
  await database.sql('SELECT 1')
  await provider.drop(locator, call)
  expect(await provider.find('large_a', call)).toBeUndefined()
  await provider.close()
}, 60_000)
