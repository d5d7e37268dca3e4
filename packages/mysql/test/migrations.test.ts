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

type Factory = TenantFactory<any>
const factories: Factory[] = []
afterEach(async () => {
  await Promise.all(factories.splice(0).map((factory) => factory.close()))
})

function createFactory(
  migrations: Record<string, string>,
  connection: ConnectionOptions = inject('mysqlUrl'),
): Factory {
  const { registry, prefix } = environment
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

/** The URL of the administrator through the relay. */
function relayUrl(): string {
  const url = new URL(inject('mysqlUrl'))
  url.port = String(relay.port)
  url.hostname = '127.0.0.1'
  return url.href
}

/** A connection through the relay that sends each statement as a message of its own. */
function relayByStatement(): ConnectionOptions {
  const { username: user } = new URL(inject('mysqlUrl'))
  return { user, stream: () => byStatement(connect(relay.port, '127.0.0.1').setNoDelay(true)) }
}

/** Starts another process that migrates the tenant through the relay. */
function migrateElsewhere(id: string): ChildProcess {
  const { registry, prefix } = environment
  const task = { connection: relayUrl(), registry, prefix, secret: SECRET, id }
  const file = fileURLToPath(new URL('migrations-child.ts', import.meta.url))
  return spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, TENANTRY_CHILD: JSON.stringify(task) },
  })
}

/** Ends the lease of the process that migrates the tenant, as time would. */
async function endLease(id: string): Promise<void> {
  const name = environment.prefix + id
  await environment.sql(`UPDATE \`${name}\`.tenantry_lock SET expires_at = 1000 * UNIX_TIMESTAMP()`)
}

/** Counts the statements of the five that the database shows to root. */
async function countDone(id: string): Promise<number> {
  const name = environment.prefix + id
  const columns = await environment.sql(
    'SELECT CONCAT(table_name, ".", column_name) AS c FROM information_schema.columns WHERE table_schema = ?',
    [name],
  )
  const all = columns.map(({ c }) => String(c))
  const indexes = await environment.sql(
    "SELECT 1 FROM information_schema.statistics WHERE table_schema = ? AND index_name = 'notes_pinned'",
    [name],
  )
  const rows = all.includes('tags.id') ? await environment.sql(`SELECT * FROM \`${name}\`.tags`) : []
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

async function readJournal(id: string): Promise<{ state: string; statement: number }> {
  const [row] = await environment.sql(
    `SELECT state, statement FROM \`${environment.prefix + id}\`.tenantry_migrations WHERE name = '0002_five'`,
  )
  return { state: String(row?.state), statement: Number(row?.statement) }
}

async function readDirtyName(id: string): Promise<unknown> {
  return (await environment.sql(`SELECT dirty FROM \`${environment.prefix + id}\`.tenantry_identity`))[0]
    ?.dirty
}

/** Repairs the tenant with the number of statements in its database, migrates again, and expects all five statements. */
async function repairAndMigrate(id: string): Promise<void> {
  const name = environment.prefix + id
  const locator = await environment.provider.find(name, call)
  const client = await environment.provider.connect(
    { locator: locator ?? {}, purpose: 'manage', verify: async () => {} },
    call,
  )
  const options = { provider: environment.provider, client, migrations: defineMigrations(FIVE), tenantId: id }
  const { state } = await readJournal(id)
  if (state === 'started' || state === 'failed') {
    await expect(migrate(options)).rejects.toMatchObject({ code: 'migration_dirty' })
    await expect(createFactory(FIVE).getAdapters(id)).rejects.toMatchObject({ code: 'migration_dirty' })
    await repairMigration({ ...options, name: '0002_five', statement: await countDone(id) })
  }
  await migrate(options)
  expect(await countDone(id)).toBe(5)
  expect(await readJournal(id)).toEqual({ state: 'done', statement: 5 })
  const { db } = await createFactory(FIVE).getAdapters(id)
  await db.insertInto('notes').values({ id: 1, body: 'served', pinned: 1 }).execute()
}

describe('a migration of five statements', () => {
  const points = STATEMENTS.flatMap((sql, at) =>
    (['cut before', 'cut after'] as const).map((fate) => ({ sql, at, fate })),
  )

  it.each(points)(
    'is journaled exactly with a connection $fate statement $at, and a second run completes it',
    async ({ sql, at, fate }) => {
      const id = `cut-${at}-${fate === 'cut before' ? 'b' : 'a'}`
      await createFactory(FIRST).provision(id)
      const factory = createFactory(FIVE, relayByStatement())
      await factory.getAdapters(id)
      const met = relay.at(sql, fate as Fate)
      await expect(factory.migrate(id)).rejects.toMatchObject({ step: '0002_five' })
      await met
      expect(await countDone(id)).toBe(fate === 'cut before' ? at : at + 1)
      expect(await readJournal(id)).toEqual({ state: 'started', statement: at })
      await repairAndMigrate(id)
    },
  )

  it.each(STATEMENTS.map((sql, at) => ({ sql, at })))(
    'is completed by a second run after kill -9 during statement $at',
    async ({ sql, at }) => {
      const id = `kill-${at}`
      await createFactory(FIRST).provision(id)
      const met = relay.at(sql, 'hold')
      const child = migrateElsewhere(id)
      const exited = once(child, 'exit')
      await met
      child.kill('SIGKILL')
      expect((await exited)[1]).toBe('SIGKILL')
      expect(await countDone(id)).toBe(at)
      expect(await readJournal(id)).toEqual({ state: 'started', statement: at })
      await endLease(id)
      await repairAndMigrate(id)
    },
  )

  it.each(STATEMENTS.map((_, at) => ({ at })))(
    'leaves the tenant dirty when statement $at is refused, names the statement, and can be corrected',
    async ({ at }) => {
      const id = `bad-${at}`
      await createFactory(FIRST).provision(id)
      const broken = STATEMENTS.map((sql, index) =>
        index === at ? 'INSERT INTO missing VALUES (1)' : sql,
      ).join(';\n')
      await expect(createFactory({ ...FIRST, '0002_five': broken }).migrate(id)).rejects.toMatchObject({
        code: 'migration_failed',
        message: expect.stringContaining(`statement ${at + 1} of 5`),
      })
      expect(await countDone(id)).toBe(at)
      expect(await readJournal(id)).toEqual({ state: 'failed', statement: at })
      await repairAndMigrate(id)
    },
  )
})

it('a migration is journaled exactly when its connection is cut during the message, and a second run completes it', async () => {
  const id = 'message'
  await createFactory(FIRST).provision(id)
  const factory = createFactory(FIVE, relayUrl())
  await factory.getAdapters(id)
  // The first answer belongs to the statement before the message.
  const met = relay.at(STATEMENTS.at(-1) ?? '', 'cut after')
  const outcome = factory.migrate(id).catch(({ step }) => step)
  await met
  for (let busy = true; busy; ) {
    const rows = await environment.sql(
      "SELECT id FROM information_schema.processlist WHERE db = ? AND command <> 'Sleep'",
      [environment.prefix + id],
    )
    busy = rows.length > 0
  }
  await outcome
  const { state, statement } = await readJournal(id)
  const count = await countDone(id)
  if (state === 'done') expect([statement, count]).toEqual([5, 5])
  else {
    expect(state).toBe('started')
    expect([statement, statement + 1]).toContain(count)
  }
  await endLease(id)
  await repairAndMigrate(id)
})

describe('while another process migrates', () => {
  const [, , insert = ''] = STATEMENTS

  it('the tenant is served, over old and new connections, until that process ends', async () => {
    const id = 'served'
    await createFactory(FIRST).provision(id)
    const warm = createFactory(FIRST)
    const { db } = await warm.getAdapters(id)
    await db.insertInto('notes').values({ id: 1, body: 'before' }).execute()
    const met = relay.at(insert, 'hold')
    const child = migrateElsewhere(id)
    const exited = once(child, 'exit')
    await met
    expect(await countDone(id)).toBe(2)
    expect(await readDirtyName(id)).toBe('0002_five')
    await db.insertInto('notes').values({ id: 2, body: 'an old connection' }).execute()
    for (const factory of [warm, createFactory(FIRST), createFactory(FIVE)]) {
      factory.release(id)
      const { db: next } = await factory.getAdapters(id)
      expect(await next.selectFrom('notes').select('id').execute()).toHaveLength(2)
    }
    relay.release()
    await exited
    expect(await countDone(id)).toBe(5)
    expect(await readDirtyName(id)).toBeNull()
    const { db: after } = await createFactory(FIVE).getAdapters(id)
    expect(await after.selectFrom('notes').select('pinned').execute()).toHaveLength(2)
  })

  it('the tenant is refused as half migrated once that process is dead and its lease has ended', async () => {
    const id = 'orphaned'
    await createFactory(FIRST).provision(id)
    const met = relay.at(insert, 'hold')
    const child = migrateElsewhere(id)
    const exited = once(child, 'exit')
    await met
    await createFactory(FIRST).getAdapters(id)
    child.kill('SIGKILL')
    await exited
    await endLease(id)
    await expect(createFactory(FIRST).getAdapters(id)).rejects.toMatchObject({
      code: 'migration_dirty',
      message: expect.stringContaining('0002_five'),
    })
    await repairAndMigrate(id)
  })
})

describe('on a server that is not strict', () => {
  it('the core has NULL refused in a NOT NULL column, where a lax session writes an empty text', async () => {
    const { client } = await environment.open('lax')
    const lax = await client.getConnection()
    await lax.query("SET SESSION sql_mode = ''")
    await lax.query('CREATE TABLE fence (id INT PRIMARY KEY, state VARCHAR(10) NOT NULL)')
    await lax.query("INSERT INTO fence VALUES (1, 'mine')")
    const break_ = 'UPDATE fence SET state = CASE WHEN id = 2 THEN 1 END'
    await lax.query(break_)
    expect((await lax.query('SELECT state FROM fence'))[0]).toEqual([{ state: '' }])
    lax.release()
    await expect(environment.provider.batch(client, [{ sql: break_ }])).rejects.toMatchObject({ errno: 1048 })
    await expect(environment.provider.query(client, { sql: break_ })).rejects.toMatchObject({ errno: 1048 })
  })
})
