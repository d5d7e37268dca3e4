import { captureError, neverAborted } from '@tenantry/test-support'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { connectClient, createDatabase, type TestDatabase } from './database.ts'
import { createProvider, open, type Provider, verify } from './support.ts'

let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
})

function start(options: Parameters<typeof createProvider>[1] = {}): Provider {
  // This file starts many providers, so each closes its idle connections early.
  const provider = createProvider(database, { maxConnections: 8, idleTimeout: 200, ...options })
  providers.push(provider)
  return provider
}

const ISOLATIONS: readonly Isolation[] = ['role', 'set_role', 'search_path']

describe('creating schemas', () => {
  it.each(ISOLATIONS)(
    '%s: fifty concurrent calls in three providers create one schema of a name, and sixty names all succeed',
    async (isolation) => {
      const three = [start({ isolation }), start({ isolation }), start({ isolation })]
      const one = await Promise.all(
        Array.from({ length: 50 }, (_, at) => three[at % 3]?.create(`${isolation}_same`, neverAborted)),
      )
      expect(one.filter((each) => each?.created)).toHaveLength(1)
      expect(new Set(one.map((each) => each?.locator.id)).size).toBe(1)
      const many = await Promise.all(
        Array.from({ length: 60 }, (_, at) => three[at % 3]?.create(`${isolation}_many-${at}`, neverAborted)),
      )
      expect(many.filter((each) => each?.created)).toHaveLength(60)
      await Promise.all(many.map((each, at) => each && three[at % 3]?.drop(each.locator, neverAborted)))
      expect(
        await database.sql(`SELECT nspname FROM pg_namespace WHERE nspname LIKE '${isolation}_many%'`),
      ).toEqual([])
    },
  )

  it('stores no password: the server has a SCRAM verifier, and the locator has a random id', async () => {
    const provider = start()
    const { locator } = await provider.create('secret_a', neverAborted)
    const role = `tenantry_${locator.id}`
    const [row] = await database.sql(
      'SELECT rolpassword, rolsuper, rolcreaterole, rolcanlogin FROM pg_authid WHERE rolname = $1',
      [role],
    )
    expect(row).toMatchObject({ rolsuper: false, rolcreaterole: false, rolcanlogin: true })
    expect(row?.rolpassword).toMatch(/^SCRAM-SHA-256\$4096:[\w+/=]{24}\$[\w+/=]{44}:[\w+/=]{44}$/)
    expect(Object.keys(locator).sort()).toEqual(['id', 'oid', 'schema', 'server'])
    expect(JSON.stringify(locator)).not.toContain(database.secret)
  })

  it('does not use, list or drop a schema that Tenantry has not created', async () => {
    const provider = start()
    await database.sql('CREATE SCHEMA foreign_a; CREATE TABLE foreign_a.t (a int)')
    expect(await captureError(provider.create('foreign_a', neverAborted))).toMatchObject({
      code: 'name_taken',
    })
    expect(await captureError(provider.find('foreign_a', neverAborted))).toMatchObject({ code: 'name_taken' })
    expect((await provider.list({ prefix: 'foreign' }, neverAborted)).databases).toEqual([])
    const [row] = await database.sql("SELECT oid FROM pg_namespace WHERE nspname = 'foreign_a'")
    await provider.drop(
      { server: 'default', schema: 'foreign_a', oid: Number(row?.oid), id: '0'.repeat(26) },
      neverAborted,
    )
    expect(await database.sql('SELECT count(*)::int AS n FROM foreign_a.t')).toEqual([{ n: 0 }])
  })

  it('does not drop a new schema of the same name with an old locator', async () => {
    const provider = start()
    const { locator } = await provider.create('again_a', neverAborted)
    await provider.drop(locator, neverAborted)
    await open(provider, 'again_a')
    await provider.drop(locator, neverAborted)
    expect(await (await open(provider, 'again_a')).query('SELECT body FROM notes')).toMatchObject({
      rowCount: 1,
    })
  })

  it('lists a role without a schema, and drops it', async () => {
    const provider = start()
    const { locator } = await provider.create('orphan_a', neverAborted)
    await database.sql('DROP SCHEMA orphan_a CASCADE')
    const { databases } = await provider.list({ prefix: 'orphan_' }, neverAborted)
    expect(databases).toEqual([{ name: 'orphan_a', locator: { ...locator, oid: 0 }, leftover: 'role' }])
    for (const each of databases) await provider.drop(each.locator, neverAborted)
    expect((await provider.list({ prefix: 'orphan_' }, neverAborted)).databases).toEqual([])
    expect(await database.sql('SELECT FROM pg_roles WHERE rolname = $1', [`tenantry_${locator.id}`])).toEqual(
      [],
    )
  })

  it('lists more schemas than one page contains', async () => {
    const provider = start({ isolation: 'search_path' })
    await database.sql(
      "DO $$ BEGIN FOR i IN 1..620 LOOP EXECUTE format('CREATE SCHEMA paged_%s', i); " +
        "EXECUTE format('COMMENT ON SCHEMA paged_%s IS ''tenantry:%s''', i, lpad(i::text, 26, '0')); END LOOP; END $$",
    )
    const first = await provider.list({ prefix: 'paged_' }, neverAborted)
    expect(first.databases).toHaveLength(500)
    const second = await provider.list({ prefix: 'paged_', cursor: first.cursor ?? '' }, neverAborted)
    expect(second.cursor).toBeUndefined()
    const names = [...first.databases, ...second.databases].map(({ name }) => name)
    expect(new Set(names).size).toBe(620)
  })
})

describe('dropping schemas', () => {
  it.each(ISOLATIONS)(
    '%s: ends the work of other processes in the schema, within a bounded time',
    async (isolation) => {
      const [provider, other] = [start({ isolation, drainTimeout: 2_000 }), start({ isolation })]
      const name = `${isolation}_busy`
      const otherClient = await open(other, `${isolation}_other`)
      const client = await open(other, name)
      const idle = await client.connect()
      await idle.query('BEGIN')
      await idle.query('SELECT * FROM notes')
      const [locked, sleeping] = [await client.connect(), await client.connect()]
      await locked.query('BEGIN')
      await locked.query('LOCK TABLE notes IN ROW EXCLUSIVE MODE')
      const slow = sleeping.query('SELECT pg_sleep(30) FROM notes').catch((error: unknown) => error)
      const untouched = await otherClient.connect()
      await untouched.query('BEGIN')
      await untouched.query('SELECT * FROM notes')
      const began = Date.now()
      const locator = await provider.find(name, neverAborted)
      await provider.drop(locator ?? {}, neverAborted)
      expect(Date.now() - began).toBeLessThan(4_000)
      expect(await slow).toBeInstanceOf(Error)
      await expect(idle.query('SELECT * FROM notes')).rejects.toThrow()
      for (const each of [idle, locked, sleeping]) each.release()
      expect((await untouched.query('SELECT * FROM notes')).rowCount).toBe(1)
      untouched.release()
      expect((await captureError(client.query('SELECT * FROM notes'))).code).toBe('tenant_not_found')
    },
  )

  it.each(ISOLATIONS)(
    '%s: a query of a schema that another program has dropped fails, and reaches no other schema',
    async (isolation) => {
      const provider = start({ isolation })
      const client = await open(provider, `${isolation}_vanished`)
      await database.sql(`CREATE TABLE IF NOT EXISTS public.notes (id serial, body text)`)
      await database.sql(`DROP SCHEMA ${isolation}_vanished CASCADE`)
      for (const text of [
        'SELECT * FROM notes',
        "INSERT INTO notes (body) VALUES ('x')",
        'CREATE TABLE t (a int)',
      ])
        await expect(client.query(text), text).rejects.toThrow()
      expect(await database.sql('SELECT count(*)::int AS n FROM public.notes')).toEqual([{ n: 0 }])
      await provider.create(`${isolation}_vanished`, neverAborted)
      await expect(client.query('CREATE TABLE t (a int)')).rejects.toThrow()
    },
  )
})

it.each(['role', 'set_role'] as const)(
  '%s: a tenant that takes an advisory lock for the name of another delays neither its creation, its closing nor its deletion',
  async (isolation) => {
    const provider = start({ isolation })
    const alice = await open(provider, `${isolation}_holder`)
    const name = `${isolation}_locked`
    const hold = async (): Promise<void> => {
      const client = await alice.connect()
      await client.query('BEGIN')
      await client.query('SELECT pg_advisory_xact_lock(1952804961, hashtext($1))', [name])
    }
    await hold()
    // In another database the same key is another lock, which must stay untouched.
    const elsewhere = await createDatabase()
    const beyond = createProvider(elsewhere, { isolation })
    const bystander = await (await open(beyond, `${isolation}_beyond`)).connect()
    await bystander.query('BEGIN')
    await bystander.query('SELECT pg_advisory_xact_lock(1952804961, hashtext($1))', [name])
    const { locator } = await provider.create(name, neverAborted)
    expect((await bystander.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await bystander.query('ROLLBACK')
    bystander.release()
    await beyond.close()
    await elsewhere.drop()
    await hold()
    await provider.setAccess?.(locator, 'closed', neverAborted)
    await hold()
    await provider.drop(locator, neverAborted)
    expect(await provider.find(name, neverAborted)).toBeUndefined()
  },
  30_000,
)

describe('access', () => {
  it.each(ISOLATIONS)(
    '%s: closing ends all connections of all processes and rejects new work, and opening permits it again',
    async (isolation) => {
      const [provider, other] = [start({ isolation }), start({ isolation })]
      const name = `${isolation}_closed`
      const [client, remote] = [await open(provider, name), await open(other, name)]
      const { locator } = await provider.create(name, neverAborted)
      const began = await remote.connect()
      await began.query('BEGIN')
      await provider.setAccess?.(locator, 'closed', neverAborted)
      await expect(began.query('SELECT 1')).rejects.toThrow()
      began.release()
      for (const each of [client, remote]) {
        expect((await captureError(each.query('SELECT * FROM notes'))).code).toBe('tenant_suspended')
        const transaction = async (): Promise<void> => {
          const lease = await each.connect()
          try {
            await lease.query('BEGIN')
            await lease.query('SELECT * FROM notes')
          } finally {
            lease.release(true)
          }
        }
        expect((await captureError(transaction())).code).toBe('tenant_suspended')
      }
      await provider.setAccess?.(locator, 'open', neverAborted)
      for (const each of [client, remote]) expect((await each.query('SELECT * FROM notes')).rowCount).toBe(1)
    },
  )

  it.each(['role', 'search_path'] as const)(
    '%s: a tenant whose tables depend on the marker of an open schema is closed and deleted like any other',
    async (isolation) => {
      const provider = start({ isolation })
      const client = await open(provider, `${isolation}_clings`)
      const { locator } = await provider.create(`${isolation}_clings`, neverAborted)
      for (let round = 0; round < 2; round++) {
        await client.query(`CREATE TABLE clings_${round} (body text COLLATE "${locator.id}")`)
        const reader = await client.connect()
        await reader.query('BEGIN')
        await reader.query(`SELECT * FROM clings_${round}`)
        await provider.setAccess?.(locator, 'closed', neverAborted)
        reader.release(true)
        expect((await captureError(client.query('SELECT 1'))).code).toBe('tenant_suspended')
        await provider.setAccess?.(locator, 'open', neverAborted)
        await client.query(`SELECT * FROM clings_${round} ORDER BY body`)
      }
      await provider.drop(locator, neverAborted)
      expect(await provider.find(`${isolation}_clings`, neverAborted)).toBeUndefined()
    },
  )

  it('search_path: a transaction that began before the schema was recreated does not read the new schema', async () => {
    const [provider, other] = [start({ isolation: 'search_path' }), start({ isolation: 'search_path' })]
    const lease = await (await open(provider, 'begun_before')).connect()
    await lease.query('SELECT * FROM notes')
    await lease.query('BEGIN')
    await database.sql('DROP SCHEMA begun_before CASCADE')
    await open(other, 'begun_before')
    expect(await captureError(lease.query('SELECT body FROM notes'))).toMatchObject({ code: 'stale_tenant' })
    lease.release()
  })

  it('search_path: a restored schema with another oid is also closed by its old locator', async () => {
    const provider = start({ isolation: 'search_path' })
    const client = await open(provider, 'restored_a')
    const { locator } = await provider.create('restored_a', neverAborted)
    await provider.setAccess?.({ ...locator, oid: 1 }, 'closed', neverAborted)
    expect(await captureError(client.query('SELECT 1'))).toMatchObject({ code: 'provider_unavailable' })
  })

  it('role: a login that is refused while the schema is being opened receives a retryable error, not credentials_rejected', async () => {
    const provider = start({ maxConnections: 2 })
    const client = await open(provider, 'opened_meanwhile')
    const { locator } = await provider.create('opened_meanwhile', neverAborted)
    await provider.setAccess?.(locator, 'closed', neverAborted)
    // The schema is open by the time the provider checks the cause of the refusal.
    await provider.setAccess?.(locator, 'open', neverAborted)
    for (const role of [`tenantry_${locator.id}`, `tenantry_${locator.id}_owner`])
      await database.sql(`ALTER ROLE "${role}" NOLOGIN`)
    await client.query('SELECT 1').catch(() => {})
    expect(await captureError(client.query('SELECT 1'))).toMatchObject({
      code: 'provider_unavailable',
      retryAfter: 1,
    })
  })

  it('calls beforeUse before each use', async () => {
    const provider = start({ isolation: 'set_role' })
    const { locator } = await provider.create('before_use_a', neverAborted)
    let uses = 0
    const client = await provider.connect(
      { locator, purpose: 'serve', verify, beforeUse: () => void uses++ },
      neverAborted,
    )
    await client.query('SELECT 1')
    ;(await client.connect()).release()
    await provider.batch(client, [{ sql: 'SELECT 1' }])
    expect(uses).toBe(3)
  })
})

describe('placement', () => {
  it('creates a tenant on the server that placement names, and finds it there later', async () => {
    const second = await createDatabase()
    const provider = start({
      servers: { eu: { connection: second.url } },
      placement: (name) => (name.endsWith('x') ? 'eu' : 'default'),
    })
    const [a, b] = [
      await provider.create('placed_a', { ...neverAborted, placement: 'eu' }),
      await provider.create('placed_x', neverAborted),
    ]
    expect([a.locator.server, b.locator.server]).toEqual(['eu', 'eu'])
    expect(await provider.create('placed_a', neverAborted)).toEqual({ ...a, created: false })
    expect(await provider.find('placed_a', neverAborted)).toEqual(a.locator)
    await provider.create('placed_b', neverAborted)
    const listed: string[] = []
    for (let cursor: string | undefined = '', first = true; first || cursor; first = false) {
      const page = await provider.list({ prefix: 'placed_', ...(cursor ? { cursor } : {}) }, neverAborted)
      listed.push(...page.databases.map(({ name }) => name))
      cursor = page.cursor
    }
    expect(listed.sort()).toEqual(['placed_a', 'placed_b', 'placed_x'])
    expect(
      await captureError(provider.create('placed_c', { ...neverAborted, placement: 'mars' })),
    ).toMatchObject({
      code: 'provider_rejected',
    })
    await provider.close()
    await second.drop()
  })
})

describe('a server that ends connections', () => {
  it.each(ISOLATIONS)(
    '%s: the process survives the end of every connection under load, and the next query works',
    async (isolation) => {
      const provider = start({ isolation })
      const names = Array.from({ length: 6 }, (_, at) => `${isolation}_ended_${at}`)
      const clients = await Promise.all(names.map((name) => open(provider, name)))
      const ended = await connectClient(database.url)
      let stop = false
      const outcomes = { fine: 0, failed: 0, wrong: 0 }
      const load = clients.map(async (client, at) => {
        while (!stop) {
          await client.query('SELECT body FROM notes WHERE id = $1', [1]).then(
            ({ rows }) => (rows[0].body === `of ${names[at]}` ? outcomes.fine++ : outcomes.wrong++),
            () => outcomes.failed++,
          )
        }
      })
      for (let round = 0; round < 8; round++) {
        await new Promise((resolve) => setTimeout(resolve, 40))
        await ended.query(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> 'the test'",
        )
      }
      stop = true
      await Promise.all(load)
      await ended.end()
      expect(outcomes.wrong).toBe(0)
      expect(outcomes.fine).toBeGreaterThan(0)
      expect(outcomes.failed).toBeGreaterThan(0)
      for (const client of clients) {
        const rows = await client
          .query('SELECT body FROM notes')
          .catch(() => client.query('SELECT body FROM notes'))
        expect(rows.rowCount).toBe(1)
      }
    },
  )
})
