import { captureError } from '@tenantry/test-support'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider, open } from './support.ts'

let database: TestDatabase
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(() => database?.drop(), 60_000)

it.each([106, 300])(
  'answers %d queries of one tenant at the same time, as a plain pool of 5 does',
  async (count) => {
    const provider = createProvider(database, { queueTimeout: 60_000 })
    const client = await open(provider, `queue_${count}`)
    const answers = await Promise.all(
      Array.from({ length: count }, (_, at) => client.query('SELECT $1::int AS at', [at])),
    )
    expect(answers.map(({ rows }) => rows[0].at)).toEqual(Array.from({ length: count }, (_, at) => at))
    await provider.close()
  },
)

it('refuses a query above maxWaiting with an error that names the limit', async () => {
  const provider = createProvider(database, {
    maxConnectionsPerTenant: 1,
    maxWaiting: 1,
    queueTimeout: 60_000,
  })
  const client = await open(provider, 'queue_full')
  const lease = await client.connect()
  const waiting = client.query('SELECT 1')
  const error = await captureError(client.query('SELECT 2'))
  expect(error).toMatchObject({ code: 'pool_exhausted', retryAfter: 1 })
  expect(error.message).toContain('1 caller already waits for a connection (maxWaiting: 1)')
  lease.release()
  await waiting
  await provider.close()
})
