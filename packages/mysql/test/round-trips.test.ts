import type { Pool, RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createMysqlFactory, type MysqlProviderOptions } from '../src/index.ts'
import { SECRET } from './harness.ts'
import { type Relay, startRelay } from './relay.ts'
import { call, createWorld, type World } from './support.ts'

let world: World
let relay: Relay
beforeAll(async () => {
  world = createWorld()
  relay = await startRelay(inject('mysqlUrl'))
})
afterAll(async () => {
  await relay?.close()
  await world?.end()
})

/** Clients of two tenants over one connection, which both have seen it. */
async function two(more: Partial<MysqlProviderOptions> = {}): Promise<[Pool, Pool]> {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  const provider = world.another({ connection: url.href, maxConnections: 1, ...more })
  const clients = await Promise.all(
    ['one', 'two'].map(async (name) => {
      const { locator } = await provider.create(world.prefix + name, call)
      return provider.connect(
        { locator, purpose: 'serve', verify: async (query) => void (await query(STAMP)) },
        call,
      )
    }),
  )
  const [one, other] = clients as [Pool, Pool]
  for (const each of [one, other, one]) await each.query('SELECT 1')
  await quiet()
  return [one, other]
}

const STAMP = { sql: "SELECT 'the stamp'" }

/** Until nothing is on its way any more: two looks see the same. */
async function quiet(): Promise<string[]> {
  const seen = relay.sent()
  for (let still = 0; still < 3; ) {
    await world.sql('SELECT 1')
    const more = relay.sent()
    still = more.length === 0 ? still + 1 : 0
    seen.push(...more)
  }
  return seen
}

describe('what a query costs', () => {
  it('on a connection the tenant had before: itself, and a reset behind everybody’s back', async () => {
    const [one] = await two()
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query'])
    expect(await quiet()).toEqual(['reset'])
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query'])
  })

  it('right after another of the same tenant: the reset first', async () => {
    const [one] = await two()
    await one.query('SELECT 1')
    await one.query('SELECT 1')
    const [rows] = await one.execute<RowDataPacket[]>('SELECT ? AS two', [2])
    expect(rows).toEqual([{ two: 2 }])
    // What was prepared ended with the session. The driver tells the server of it, which has forgotten it too.
    const [again] = await one.execute<RowDataPacket[]>('SELECT ? AS two', [2])
    expect(again).toEqual([{ two: 2 }])
    expect(relay.sent()).toEqual([
      'query',
      ...['reset', 'query'],
      ...['reset', 'prepare', 'execute'],
      ...['reset', 'forget+prepare', 'execute'],
    ])
  })

  it('right after one that left something without saying so: nothing of it is there', async () => {
    const [one] = await two()
    await one.query('CREATE TABLE left_k (id INT)')
    await one.query("CREATE TRIGGER left_t BEFORE INSERT ON left_k FOR EACH ROW SET @left = 'leaked'")
    await one.query('SELECT 1')
    await quiet()
    await one.query('INSERT INTO left_k VALUES (1)')
    const [rows] = await one.query<RowDataPacket[]>('SELECT @left AS found')
    expect(rows).toEqual([{ found: null }])
    expect(relay.sent()).toEqual(['query', 'reset', 'query'])
  })

  it('where the reset is refused, the statement is not sent and the connection is closed', async () => {
    const [one, other] = await two()
    const [before] = await one.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
    const met = relay.at(RESET, 'unknown')
    await expect(one.query('SELECT 2')).rejects.toMatchObject({ code: 'provider_unavailable' })
    await met
    for (const each of [one, other]) {
      const [rows] = await each.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
      expect(rows[0]?.id).not.toBe(before[0]?.id)
    }
  })

  it('where the server never answers the reset, the statement is not sent and the connection is closed', async () => {
    const [one, other] = await two({ connectTimeout: 300 })
    await one.query('SELECT 1')
    const met = relay.at(RESET, 'unanswered')
    await expect(one.query("SELECT 'mine' AS whose")).rejects.toMatchObject({ code: 'timeout' })
    await met
    for (const each of [one, other])
      expect((await each.query("SELECT 'next' AS whose"))[0]).toEqual([{ whose: 'next' }])
  })

  it('where part of an answer is lost, the rest is not taken for an answer', async () => {
    const [one, other] = await two()
    const met = relay.at("'mine'", 'unanswered')
    await expect(one.query("SELECT 'mine' AS whose")).rejects.toMatchObject({ code: 'provider_unavailable' })
    await met
    for (const each of [one, other])
      expect((await each.query("SELECT 'next' AS whose"))[0]).toEqual([{ whose: 'next' }])
  })

  it('a connection is reset before each lease, also before one that sends nothing', async () => {
    const [one, other] = await two()
    await one.query('SELECT 1')
    ;(await one.getConnection()).release()
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', 'reset', 'query'])
    ;(await one.getConnection()).release()
    await other.query('SELECT 1')
    expect(relay.sent()).toEqual(['reset', ...TURN])
  })

  it('on a connection that was another tenant’s: the change of user and its proof, no stamp again', async () => {
    const [one, other] = await two()
    await one.query('SELECT 1')
    await other.query('SELECT 1')
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', ...TURN, ...TURN])
  })

  it('and what was prepared ends with the change of user', async () => {
    const [one, other] = await two()
    await one.execute('SELECT ? AS two', [2])
    await other.query('SELECT 1')
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['prepare', 'execute', ...CHANGE, 'forget+query', ...TURN])
  })

  it('after a transaction: a reset at once', async () => {
    const [one] = await two()
    const held = await one.getConnection()
    await held.beginTransaction()
    await held.query('SELECT 1')
    await held.commit()
    held.release()
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', 'query', 'query', 'reset', 'query'])
  })

  it('after what may have left anything: a change of user at once', async () => {
    const [one] = await two()
    await one.query('SET @left = 1')
    await one.query('SELECT 1')
    expect(relay.sent()).toEqual(['query', ...TURN])
  })
})

it('one query after the other has one connection, however many there may be', async () => {
  const { client } = await world.open('calm')
  const seen = new Set<unknown>()
  for (let at = 0; at < 10; at++) {
    const [rows] = await client.query<RowDataPacket[]>('SELECT CONNECTION_ID() AS id')
    seen.add(rows[0]?.id)
  }
  expect(seen.size).toBe(1)
})

it('closing waits for the clearing up, says goodbye, and for the server to have heard it', async () => {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  const provider = world.another({ connection: url.href, maxConnections: 1 })
  const { client } = await world.open('closing', provider)
  await quiet()
  const met = relay.at(RESET, 'hold')
  await client.query('SELECT 1')
  await met
  relay.sent()
  const closing = provider.close()
  expect(await quiet()).toEqual([])
  relay.release()
  await closing
  expect(relay.sent()).toEqual(['quit'])
  const database = `${world.prefix}closing`
  expect(await world.sql('SELECT id FROM information_schema.processlist WHERE db = ?', [database])).toEqual(
    [],
  )
})

const RESET = '\x01\x00\x00\x00\x1f'
/** With the statement that clears what MariaDB keeps. */
const CHANGE = ['query', 'change user', 'answer']
const TURN = [...CHANGE, 'query']

describe('what the core writes', () => {
  it('goes in one message, however many statements', async () => {
    const [one, other] = await two({ maxConnections: 2 })
    await world.provider.batch(one, [{ sql: 'CREATE TABLE IF NOT EXISTS many (id INT)' }])
    await quiet()
    const inserts = [1, 2, 3].map((id) => ({ sql: 'INSERT INTO many VALUES (?)', params: [id] }))
    await world.provider.batch(one, inserts)
    expect(await quiet()).toEqual(['query', 'reset'])
    await world.provider.query(one, { sql: 'DELETE FROM many' })
    expect(relay.sent()).toEqual(['query'])
    expect((await one.query('SELECT * FROM many'))[0]).toEqual([])
    // A batch connection is turned to the next tenant as any other, and its client reads the stamp over it.
    await quiet()
    await world.provider.batch(other, [{ sql: 'CREATE TABLE IF NOT EXISTS many (id INT)' }])
    expect(await quiet()).toEqual([...CHANGE, 'query', 'query', 'reset'])
  })

  it('a new tenant of ten migrations costs not one message more than one of a single migration', async () => {
    const url = new URL(inject('mysqlUrl'))
    url.port = String(relay.port)
    const counts: number[] = []
    for (const count of [1, 10]) {
      const factory = createMysqlFactory({
        connection: url.href,
        secret: SECRET,
        registry: world.registry,
        databasePrefix: world.prefix,
        // On a slow machine it would take another connection before the first is cleared up.
        maxConnectionsPerTenant: 1,
        migrations: Object.fromEntries(
          Array.from({ length: count }, (_, at) => [`00${at}`, `CREATE TABLE t_${at} (id INT PRIMARY KEY)`]),
        ),
      })
      await factory.provision(`warm-${count}`)
      await quiet()
      await factory.provision(`cold-${count}`)
      // How soon a reset follows is a matter of time.
      counts.push((await quiet()).filter((what) => what !== 'reset').length)
      await factory.close()
    }
    expect(counts[1]).toBe(counts[0])
    expect(counts[0]).toBeLessThanOrEqual(33)
  })
})
