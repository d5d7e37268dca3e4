import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { fileURLToPath } from 'node:url'
import type { TenantFactory } from '@tenantry/multi-tenancy'
import { defineMigrations, migrate, repairMigration } from '@tenantry/multi-tenancy'
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest'
import { type ConnectionOptions, createMysqlFactory } from '../src/index.ts'
import { byStatement } from './by-statement.ts'
import { FIRST, FIVE, STATEMENTS } from './five.ts'
import { SECRET } from './harness.ts'
import { type Fate, type Relay, startRelay } from './relay.ts'
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

type Factory = TenantFactory<any>
const factories: Factory[] = []
afterEach(async () => {
  await Promise.all(factories.splice(0).map((factory) => factory.close()))
})

function factoryOf(
  migrations: Record<string, string>,
  connection: ConnectionOptions = inject('mysqlUrl'),
): Factory {
  const { registry, prefix } = world
  const factory = createMysqlFactory({
    connection,
    registry,
    secret: SECRET,
    databasePrefix: prefix,
    migrations,
  })
  factories.push(factory)
  return factory
}

/** The administrator, by way of the relay. */
function relayed(): string {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  url.hostname = '127.0.0.1'
  return url.href
}

/** The same, each statement in a message of its own. */
function relayedByStatement(): ConnectionOptions {
  const { username: user } = new URL(inject('mysqlUrl'))
  return { user, stream: () => byStatement(connect(relay.port, '127.0.0.1').setNoDelay(true)) }
}

/** A process of its own that migrates the tenant through the relay. */
function migrateElsewhere(id: string): ChildProcess {
  const { registry, prefix } = world
  const task = { connection: relayed(), registry, prefix, secret: SECRET, id }
  const file = fileURLToPath(new URL('migrations-child.ts', import.meta.url))
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, TENANTRY_CHILD: JSON.stringify(task) },
  })
}

/** Time passes: the lease of whoever migrates the tenant has just ended. */
async function endLease(id: string): Promise<void> {
  const name = world.prefix + id
  await world.sql(`UPDATE \`${name}\`.tenantry_lock SET expires_at = 1000 * UNIX_TIMESTAMP()`)
}

/** How many of the five statements the database shows, looked at as root. */
async function done(id: string): Promise<number> {
  const name = world.prefix + id
  const columns = await world.sql(
    'SELECT CONCAT(table_name, ".", column_name) AS c FROM information_schema.columns WHERE table_schema = ?',
    [name],
  )
  const all = columns.map(({ c }) => String(c))
  const indexes = await world.sql(
    "SELECT 1 FROM information_schema.statistics WHERE table_schema = ? AND index_name = 'notes_pinned'",
    [name],
  )
  const rows = all.includes('tags.id') ? await world.sql(`SELECT * FROM \`${name}\`.tags`) : []
  const seen = [
    all.includes('tags.id'),
    all.includes('notes.pinned'),
    rows.length === 1,
    indexes.length > 0,
    all.includes('tags.color'),
  ]
  const count = seen.filter(Boolean).length
  expect(seen).toEqual(STATEMENTS.map((_, at) => at < count))
  return count
}

async function journal(id: string): Promise<{ state: string; statement: number }> {
  const [row] = await world.sql(
    `SELECT state, statement FROM \`${world.prefix + id}\`.tenantry_migrations WHERE name = '0002_five'`,
  )
  return { state: String(row?.state), statement: Number(row?.statement) }
}

async function dirty(id: string): Promise<unknown> {
  return (await world.sql(`SELECT dirty FROM \`${world.prefix + id}\`.tenantry_identity`))[0]?.dirty
}

/** Says what somebody who looked would say, then migrates again: it converges. */
async function mend(id: string): Promise<void> {
  const name = world.prefix + id
  const locator = await world.provider.find(name, call)
  const client = await world.provider.connect(
    { locator: locator ?? {}, purpose: 'manage', verify: async () => {} },
    call,
  )
  const options = { provider: world.provider, client, migrations: defineMigrations(FIVE), tenantId: id }
  const { state } = await journal(id)
  if (state === 'started' || state === 'failed') {
    await expect(migrate(options)).rejects.toMatchObject({ code: 'migration_dirty' })
    await expect(factoryOf(FIVE).getAdapters(id)).rejects.toMatchObject({ code: 'migration_dirty' })
    await repairMigration({ ...options, name: '0002_five', statement: await done(id) })
  }
  await migrate(options)
  expect(await done(id)).toBe(5)
  expect(await journal(id)).toEqual({ state: 'done', statement: 5 })
  const { db } = await factoryOf(FIVE).getAdapters(id)
  await db.insertInto('notes').values({ id: 1, body: 'served', pinned: 1 }).execute()
}

describe('a migration of five statements', () => {
  const points = STATEMENTS.flatMap((sql, at) =>
    (['cut before', 'cut after'] as const).map((fate) => ({ sql, at, fate })),
  )

  it.each(points)(
    'connection $fate statement $at: the journal says what is known, and a rerun converges',
    async ({ sql, at, fate }) => {
      const id = `cut-${at}-${fate === 'cut before' ? 'b' : 'a'}`
      await factoryOf(FIRST).provision(id)
      const factory = factoryOf(FIVE, relayedByStatement())
      await factory.getAdapters(id)
      const met = relay.at(sql, fate as Fate)
      await expect(factory.migrate(id)).rejects.toMatchObject({ step: '0002_five' })
      await met
      expect(await done(id)).toBe(fate === 'cut before' ? at : at + 1)
      expect(await journal(id)).toEqual({ state: 'started', statement: at })
      await mend(id)
    },
  )

  it.each(STATEMENTS.map((sql, at) => ({ sql, at })))(
    'kill -9 while statement $at is under way: a rerun converges',
    async ({ sql, at }) => {
      const id = `kill-${at}`
      await factoryOf(FIRST).provision(id)
      const met = relay.at(sql, 'hold')
      const child = migrateElsewhere(id)
      const exited = once(child, 'exit')
      await met
      child.kill('SIGKILL')
      expect((await exited)[1]).toBe('SIGKILL')
      expect(await done(id)).toBe(at)
      expect(await journal(id)).toEqual({ state: 'started', statement: at })
      await endLease(id)
      await mend(id)
    },
  )

  it.each(STATEMENTS.map((_, at) => ({ at })))(
    'a refused statement $at leaves the tenant dirty, names it, and can be corrected',
    async ({ at }) => {
      const id = `bad-${at}`
      await factoryOf(FIRST).provision(id)
      const broken = STATEMENTS.map((sql, index) =>
        index === at ? 'INSERT INTO missing VALUES (1)' : sql,
      ).join(';\n')
      await expect(factoryOf({ ...FIRST, '0002_five': broken }).migrate(id)).rejects.toMatchObject({
        code: 'migration_failed',
        message: expect.stringContaining(`statement ${at + 1} of 5`),
      })
      expect(await done(id)).toBe(at)
      expect(await journal(id)).toEqual({ state: 'failed', statement: at })
      await mend(id)
    },
  )
})

it('a connection cut while the server is at the message: the journal says what is known, and a rerun converges', async () => {
  const id = 'message'
  await factoryOf(FIRST).provision(id)
  const factory = factoryOf(FIVE, relayed())
  await factory.getAdapters(id)
  // With the first answer, which is to what goes ahead of the message.
  const met = relay.at(STATEMENTS.at(-1) ?? '', 'cut after')
  const outcome = factory.migrate(id).catch(({ step }) => step)
  await met
  for (let busy = true; busy; ) {
    const rows = await world.sql(
      "SELECT id FROM information_schema.processlist WHERE db = ? AND command <> 'Sleep'",
      [world.prefix + id],
    )
    busy = rows.length > 0
  }
  await outcome
  const { state, statement } = await journal(id)
  const count = await done(id)
  if (state === 'done') expect([statement, count]).toEqual([5, 5])
  else {
    expect(state).toBe('started')
    expect([statement, statement + 1]).toContain(count)
  }
  await endLease(id)
  await mend(id)
})

describe('while another process migrates', () => {
  const [, , insert = ''] = STATEMENTS

  it('the tenant is served, by connections of before and by new ones, until that process is done', async () => {
    const id = 'served'
    await factoryOf(FIRST).provision(id)
    const warm = factoryOf(FIRST)
    const { db } = await warm.getAdapters(id)
    await db.insertInto('notes').values({ id: 1, body: 'before' }).execute()
    const met = relay.at(insert, 'hold')
    const child = migrateElsewhere(id)
    const exited = once(child, 'exit')
    await met
    expect(await done(id)).toBe(2)
    expect(await dirty(id)).toBe('0002_five')
    await db.insertInto('notes').values({ id: 2, body: 'a connection of before' }).execute()
    for (const factory of [warm, factoryOf(FIRST), factoryOf(FIVE)]) {
      factory.release(id)
      const { db: anew } = await factory.getAdapters(id)
      expect(await anew.selectFrom('notes').select('id').execute()).toHaveLength(2)
    }
    relay.release()
    await exited
    expect(await done(id)).toBe(5)
    expect(await dirty(id)).toBeNull()
    const { db: after } = await factoryOf(FIVE).getAdapters(id)
    expect(await after.selectFrom('notes').select('pinned').execute()).toHaveLength(2)
  })

  it('and is refused as half applied once that process is dead and its lease has ended', async () => {
    const id = 'orphaned'
    await factoryOf(FIRST).provision(id)
    const met = relay.at(insert, 'hold')
    const child = migrateElsewhere(id)
    const exited = once(child, 'exit')
    await met
    await factoryOf(FIRST).getAdapters(id)
    child.kill('SIGKILL')
    await exited
    await endLease(id)
    await expect(factoryOf(FIRST).getAdapters(id)).rejects.toMatchObject({
      code: 'migration_dirty',
      message: expect.stringContaining('0002_five'),
    })
    await mend(id)
  })
})

describe('on a server that is not strict', () => {
  it('the fences hold: a value that may not be NULL is refused, not written as an empty text', async () => {
    const { client } = await world.open('lax')
    const lax = await client.getConnection()
    await lax.query("SET SESSION sql_mode = ''")
    await lax.query('CREATE TABLE fence (id INT PRIMARY KEY, state VARCHAR(10) NOT NULL)')
    await lax.query("INSERT INTO fence VALUES (1, 'mine')")
    const break_ = 'UPDATE fence SET state = CASE WHEN id = 2 THEN 1 END'
    await lax.query(break_)
    expect((await lax.query('SELECT state FROM fence'))[0]).toEqual([{ state: '' }])
    lax.release()
    await expect(world.provider.batch(client, [{ sql: break_ }])).rejects.toMatchObject({ errno: 1048 })
    await expect(world.provider.query(client, { sql: break_ })).rejects.toMatchObject({ errno: 1048 })
  })
})
