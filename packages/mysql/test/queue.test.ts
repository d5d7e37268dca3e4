import type { RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
beforeAll(() => {
  environment = createTestEnvironment()
})
afterAll(() => environment?.end())

it.each([106, 300])(
  'answers %d queries of one tenant at the same time, as a plain pool of 5 does',
  async (count) => {
    const { client } = await environment.open(`queue_${count}`, environment.another({ queueTimeout: 60_000 }))
    const answers = await Promise.all(
      Array.from({ length: count }, (_, at) => client.query<RowDataPacket[]>('SELECT ? AS at', [at])),
    )
    expect(answers.map(([rows]) => rows[0]?.at)).toEqual(Array.from({ length: count }, (_, at) => at))
  },
)

it('refuses a query above maxWaiting with an error that names the limit', async () => {
  const provider = environment.another({ maxConnectionsPerTenant: 1, maxWaiting: 1, queueTimeout: 60_000 })
  const { client } = await environment.open('queue_full', provider)
  const lease = await client.getConnection()
  const waiting = client.query('SELECT 1')
  await expect(client.query('SELECT 2')).rejects.toMatchObject({
    code: 'pool_exhausted',
    retryAfter: 1,
    message: expect.stringContaining('1 caller already waits for a connection (maxWaiting: 1)'),
  })
  lease.release()
  await waiting
})
