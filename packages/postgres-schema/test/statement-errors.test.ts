import { DatabaseError, type Pool } from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createProvider, open, type Provider } from './support.ts'

let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
})

const ISOLATIONS: readonly Isolation[] = ['role', 'set_role', 'search_path']

/** Runs two conflicting transactions of one tenant and returns their errors. */
async function conflict(pool: Pool, level: string, texts: readonly [string[], string[]]): Promise<unknown[]> {
  const clients = [await pool.connect(), await pool.connect()]
  const errors: unknown[] = []
  for (const client of clients) await client.query(`BEGIN ISOLATION LEVEL ${level}`)
  for (let at = 0; at < texts[0].length; at++) {
    const steps = clients.map((client, side) =>
      client.query(texts[side]?.[at] ?? '').catch((error) => errors.push(error)),
    )
    await Promise.all(steps)
  }
  for (const client of clients) await client.query('COMMIT').catch((error) => errors.push(error))
  for (const client of clients) client.release()
  return errors
}

describe.each(ISOLATIONS)('%s: a statement of the app fails with the error of the driver', (isolation) => {
  async function start(name: string): Promise<Pool> {
    const provider = createProvider(database, { isolation, maxConnections: 4 })
    providers.push(provider)
    const pool = await open(provider, `${isolation}_${name}`)
    await pool.query("INSERT INTO notes (body) VALUES ('second')")
    return pool
  }

  it('after a serialization failure', async () => {
    const pool = await start('serializable')
    const read = 'SELECT count(*) FROM notes'
    const write = "INSERT INTO notes (body) VALUES ('more')"
    const errors = await conflict(pool, 'SERIALIZABLE', [[read, write], [read, write]]) // biome-ignore format: pairs
    expect(errors).toEqual([expect.objectContaining({ code: '40001' })])
    expect(errors[0]).toBeInstanceOf(DatabaseError)
  })

  it('after a deadlock', async () => {
    const pool = await start('deadlock')
    const update = (id: number) => `UPDATE notes SET body = 'changed' WHERE id = ${id}`
    const errors = await conflict(pool, 'READ COMMITTED', [[update(1), update(2)], [update(2), update(1)]]) // biome-ignore format: pairs
    expect(errors).toEqual([expect.objectContaining({ code: '40P01' })])
    expect((await pool.query('SELECT count(*)::int AS n FROM notes')).rows).toEqual([{ n: 2 }])
  })

  it('after a timeout of a statement or of a lock', async () => {
    const pool = await start('timeout')
    const [holder, waiter] = [await pool.connect(), await pool.connect()]
    await waiter.query("SET statement_timeout = '50ms'")
    await expect(waiter.query('SELECT pg_sleep(5)')).rejects.toMatchObject({
      code: '57014',
      severity: expect.any(String),
    })
    await waiter.query('SET statement_timeout = 0')
    await waiter.query("SET lock_timeout = '50ms'")
    await holder.query('BEGIN')
    await holder.query('LOCK TABLE notes')
    await expect(waiter.query('SELECT * FROM notes')).rejects.toMatchObject({ code: '55P03' })
    await holder.query('ROLLBACK')
    // The session still works.
    expect((await waiter.query('SELECT count(*)::int AS n FROM notes')).rows).toEqual([{ n: 2 }])
    for (const client of [holder, waiter]) client.release()
  })
})
