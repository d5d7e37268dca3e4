import type { Pool, RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createMysqlFactory, type MysqlProviderOptions } from '../src/index.ts'
import { SECRET } from './harness.ts'
import { type Relay, startRelay } from './relay.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
let relay: Relay
beforeAll(async () => {
  environment = createTestEnvironment()
  relay = await startRelay(inject('mysqlUrl'))
})
afterAll(async () => {
  await relay?.close()
  await environment?.end()
})

/** Clients of two tenants over one connection, over which both have read their stamp. */
async function openTwo(more: Partial<MysqlProviderOptions> = {}): Promise<[Pool, Pool]> {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  const provider = environment.another({ connection: url.href, maxConnections: 1, ...more })
  const clients = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const { locator } = await provider.create(environment.prefix + name, call)
      return provider.connect(
        { locator, purpose: 'serve', verify: async (query) => void (await query(STAMP)) },
        call,
      )
    }),
  )
  const [one, other] = clients as [Pool, Pool]
  for (const each of [one, other, one]) await each.query('SELECT 1')
  await waitUntilQuiet()
  return [one, other]
}

const STAMP = { sql: "SELECT 'the stamp'" }

/** Waits until no message arrives during three queries of another connection, and returns the messages before. */
async function waitUntilQuiet(): Promise<string[]> {
  const seen = relay.sent()
  for (let still = 0; still < 3; ) {
    await environment.sql('SELECT 1')
    const more = relay.sent()
    still = more.length === 0 ? still + 1 : 0
    seen.push(...more)
  }
  return seen
}

describe('a query', () => {
  it('on a connection of the same tenant is one message, and a reset in the background', async () => {
    const [one] = await openTwo()
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query'])
    expect(await waitUntilQuiet()).toEqual(['reset'])
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query'])
  })

  it('right after a query of the same tenant is sent after the reset', async () => {
    const [one] = await openTwo()
    await one.query('SELECT 1')
    await one.query('SELECT 1')
    const [rows] = await one.execute<RowDataPacket[]>('SELECT ? AS two', [2])
    expect(rows).toEqual([{ two: 2 }])
    // Prepared statements ended with the session. The driver closes them, and the server ignores unknown ones.
    const [again] = await one.execute<RowDataPacket[]>('SELECT ? AS two', [2])
    expect(again).toEqual([{ two: 2 }])
    expect(relay.sent()).toEqual([
      'query',
      ...['reset', 'query'],
      ...['reset', 'prepare', 'execute'],
      ...['reset', 'forget+prepare', 'execute'],
    ])
  })

  it('does not see a variable that a trigger of the previous query left', async () => {
    const [one] = await openTwo()
    await one.query('CREATE TABLE left_k (id INT)')
    await one.query("CREATE TRIGGER left_t BEFORE INSERT ON left_k FOR EACH ROW SET @left = 'leaked'")
    await one.query('SELECT 1')
    await waitUntilQuiet()
    await one.query('INSERT INTO left_k VALUES (1)')
    const [rows] = await one.query<RowDataPacket[]>('SELECT @left AS value')
    expect(rows).toEqual([{ value: null }])
    expect(relay.sent()).toEqual(['query', 'reset', 'query'])
  })

  it('is not sent where the server refuses the reset, and the connection is closed', async () => {
    const [one, other] = await openTwo()
    const [before] = await one.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
    const met = relay.at(RESET, 'unknown')
    await expect(one.query('SELECT 2')).rejects.toMatchObject({ code: 'provider_unavailable' })
    await met
    for (const each of [one, other]) {
      const [rows] = await each.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
      expect(rows[0]?.id).not.toBe(before[0]?.id)
    }
  })

  it('is not sent where the server never answers the reset, and the connection is closed', async () => {
    const [one, other] = await openTwo({ connectTimeout: 300 })
    await one.query('SELECT 1')
    const met = relay.at(RESET, 'unanswered')
    await expect(one.query("SELECT 'mine' AS whose")).rejects.toMatchObject({ code: 'timeout' })
    await met
    for (const each of [one, other])
      expect((await each.query("SELECT 'next' AS whose"))[0]).toEqual([{ whose: 'next' }])
  })

  it('is rejected where part of its answer is lost, and the rest is not taken for another answer', async () => {
    const [one, other] = await openTwo()
    const met = relay.at("'mine'", 'unanswered')
    await expect(one.query("SELECT 'mine' AS whose")).rejects.toMatchObject({ code: 'provider_unavailable' })
    await met
    for (const each of [one, other])
      expect((await each.query("SELECT 'next' AS whose"))[0]).toEqual([{ whose: 'next' }])
  })

  it('finds a connection that was reset once, also after a lease that sent nothing', async () => {
    const [one, other] = await openTwo()
    await one.query('SELECT 1')
    ;(await one.getConnection()).release()
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', 'reset', 'query'])
    ;(await one.getConnection()).release()
    await other.query('SELECT 1')
    expect(relay.sent()).toEqual(['reset', ...TURN])
  })

  it('on a connection of another tenant follows the change of user, without another read of the stamp', async () => {
    const [one, other] = await openTwo()
    await one.query('SELECT 1')
    await other.query('SELECT 1')
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', ...TURN, ...TURN])
  })

  it('closes the prepared statements of the tenant before the change of user', async () => {
    const [one, other] = await openTwo()
    await one.execute('SELECT ? AS two', [2])
    await other.query('SELECT 1')
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['prepare', 'execute', ...CHANGE, 'forget+query', ...TURN])
  })

  it('after a transaction follows a reset that began with the release', async () => {
    const [one] = await openTwo()
    const lease = await one.getConnection()
    await lease.beginTransaction()
    await lease.query('SELECT 1')
    await lease.commit()
    lease.release()
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', 'query', 'query', 'reset', 'query'])
  })

  it('after a statement with an unknown effect on the session follows a change of user', async () => {
    const [one] = await openTwo()
    await one.query('SET @left = 1')
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', ...TURN])
  })
})

it('sequential queries of a tenant share one connection below the limit', async () => {
  const { client } = await environment.open('calm')
  const seen = new Set<unknown>()
  for (let at = 0; at < 10; at++) {
    const [rows] = await client.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
    seen.add(rows[0]?.id)
  }
  expect(seen.size).toBe(1)
})

it('close() waits for a running reset, quits, and waits until the server has ended the connection', async () => {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  const provider = environment.another({ connection: url.href, maxConnections: 1 })
  const { client } = await environment.open('closing', provider)
  await waitUntilQuiet()
  const met = relay.at(RESET, 'hold')
  await client.query('SELECT 1')
  await met
  relay.sent()
  const closing = provider.close()
  expect(await waitUntilQuiet()).toEqual([])
  relay.release()
  await closing
  expect(relay.sent()).toEqual(['quit'])
  const database = `${environment.prefix}closing`
  expect(
    await environment.sql('SELECT id FROM information_schema.processlist WHERE db = ?', [database]),
  ).toEqual([])
})

const RESET = '\x01\x00\x00\x00\x1f'
/** A change of user, after the statement that clears the state which MariaDB keeps. */
const CHANGE = ['query', 'change user', 'answer']
const TURN = [...CHANGE, 'query']

describe('a batch of the core', () => {
  it('is one message for any number of statements', async () => {
    const [one, other] = await openTwo({ maxConnections: 2 })
    await environment.provider.batch(one, [{ sql: 'CREATE TABLE IF NOT EXISTS many (id INT)' }])
    await waitUntilQuiet()
    const inserts = [1, 2, 3].map((id) => ({ sql: 'INSERT INTO many VALUES (?)', params: [id] }))
    await environment.provider.batch(one, inserts)
    expect(await waitUntilQuiet()).toEqual(['query', 'reset'])
    await environment.provider.query(one, { sql: 'DELETE FROM many' })
    expect(relay.sent()).toEqual(['query'])
    expect((await one.query('SELECT * FROM many'))[0]).toEqual([])
    // A batch connection changes to the next tenant like any other, and its client reads the stamp over it.
    await waitUntilQuiet()
    await environment.provider.batch(other, [{ sql: 'CREATE TABLE IF NOT EXISTS many (id INT)' }])
    expect(await waitUntilQuiet()).toEqual([...CHANGE, 'query', 'query', 'reset'])
  })

  it('provisions a tenant of ten migrations with as many messages as a tenant of one migration', async () => {
    const url = new URL(inject('mysqlUrl'))
    url.port = String(relay.port)
    const counts: number[] = []
    for (const count of [1, 10]) {
      const factory = createMysqlFactory({
        connection: url.href,
        secret: SECRET,
        registry: environment.registry,
        databasePrefix: environment.prefix,
        // On a slow machine a second connection would open before the first is reset.
        maxConnectionsPerTenant: 1,
        migrations: Object.fromEntries(
          Array.from({ length: count }, (_, at) => [`00${at}`, `CREATE TABLE t_${at} (id INT PRIMARY KEY)`]),
        ),
      })
      await factory.provision(`warm-${count}`)
      await waitUntilQuiet()
      await factory.provision(`cold-${count}`)
      // The number of resets depends on the time between two statements.
      counts.push((await waitUntilQuiet()).filter((what) => what !== 'reset').length)
      await factory.close()
    }
    expect(counts[1]).toBe(counts[0])
    expect(counts[0]).toBeLessThanOrEqual(33)
  })
})
