import type { RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createWorld, type World } from './support.ts'

let world: World
beforeAll(() => {
  world = createWorld()
})
afterAll(() => world?.end())

it.each([106, 300])(
  'answers %d queries of one tenant at the same time, as a plain pool of 5 does',
  async (count) => {
    const { client } = await world.open(`queue_${count}`, world.another({ queueTimeout: 60_000 }))
    const answers = await Promise.all(
      Array.from({ length: count }, (_, at) => client.query<RowDataPacket[]>('SELECT ? AS at', [at])),
    )
    expect(answers.map(([rows]) => rows[0]?.at)).toEqual(Array.from({ length: count }, (_, at) => at))
  },
)

it('refuses a query above maxWaiting with an error that names the limit', async () => {
  const provider = world.another({ maxConnectionsPerTenant: 1, maxWaiting: 1, queueTimeout: 60_000 })
  const { client } = await world.open('queue_full', provider)
  const held = await client.getConnection()
  const waiting = client.query('SELECT 1')
  await expect(client.query('SELECT 2')).rejects.toMatchObject({
    code: 'pool_exhausted',
    retryAfter: 1,
    message: expect.stringContaining('1 caller already waits for a connection (maxWaiting: 1)'),
  })
  held.release()
  await waiting
})
