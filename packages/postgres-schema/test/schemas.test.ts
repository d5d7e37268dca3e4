import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Isolation } from '../src/index.ts'
import { connected, createDatabase, type TestDatabase } from './database.ts'
import { call, failure, open, type Provider, providerOf, verify } from './support.ts'

let database: TestDatabase
const providers: Provider[] = []
beforeAll(async () => {
  database = await createDatabase()
})
afterAll(async () => {
  for (const provider of providers) await provider.close()
  await database?.drop()
})

function start(options: Parameters<typeof providerOf>[1] = {}): Provider {
  // Many providers in one file: what one is done with, the server has back soon.
  const provider = providerOf(database, { maxConnections: 8, idleTimeout: 200, ...options })
  providers.push(provider)
  return provider
}

const ISOLATIONS: readonly Isolation[] = ['role', 'set_role', 'search_path']

describe('making schemas', () => {
  it.each(ISOLATIONS)(
    '%s: fifty of one name over three processes make one; sixty of many names all succeed',
    async (isolation) => {
      const three = [start({ isolation }), start({ isolation }), start({ isolation })]
      const one = await Promise.all(
        Array.from({ length: 50 }, (_, at) => three[at % 3]?.create(`${isolation}_same`, call)),
      )
      expect(one.filter((each) => each?.created)).toHaveLength(1)
      expect(new Set(one.map((each) => each?.locator.id)).size).toBe(1)
      const many = await Promise.all(
        Array.from({ length: 60 }, (_, at) => three[at % 3]?.create(`${isolation}_many-${at}`, call)),
      )
      expect(many.filter((each) => each?.created)).toHaveLength(60)
      await Promise.all(many.map((each, at) => each && three[at % 3]?.drop(each.locator, call)))
      expect(
        await database.sql(`SELECT nspname FROM pg_namespace WHERE nspname LIKE '${isolation}_many%'`),
      ).toEqual([])
    },
  )

  it('keeps no password: the server has a SCRAM verifier, the locator a random id', async () => {
    const provider = start()
    const { locator } = await provider.create('secret_a', call)
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

  it('a schema that somebody else made is neither taken nor shown nor dropped', async () => {
    const provider = start()
    await database.sql('CREATE SCHEMA stranger_a; CREATE TABLE stranger_a.t (a int)')
    expect(await failure(provider.create('stranger_a', call))).toMatchObject({ code: 'name_taken' })
    expect(await failure(provider.find('stranger_a', call))).toMatchObject({ code: 'name_taken' })
    expect((await provider.list({ prefix: 'stranger' }, call)).databases).toEqual([])
    const [row] = await database.sql("SELECT oid FROM pg_namespace WHERE nspname = 'stranger_a'")
    await provider.drop(
      { server: 'default', schema: 'stranger_a', oid: Number(row?.oid), id: '0'.repeat(26) },
      call,
    )
    expect(await database.sql('SELECT count(*)::int AS n FROM stranger_a.t')).toEqual([{ n: 0 }])
  })

  it('an old locator does not drop the schema that has its name now', async () => {
    const provider = start()
    const { locator } = await provider.create('again_a', call)
    await provider.drop(locator, call)
    await open(provider, 'again_a')
    await provider.drop(locator, call)
    expect(await (await open(provider, 'again_a')).query('SELECT body FROM notes')).toMatchObject({
      rowCount: 1,
    })
  })

  it('lists a role whose schema is gone, and drop takes it away', async () => {
    const provider = start()
    const { locator } = await provider.create('orphan_a', call)
    await database.sql('DROP SCHEMA orphan_a CASCADE')
    const { databases } = await provider.list({ prefix: 'orphan_' }, call)
    expect(databases).toEqual([{ name: 'orphan_a', locator: { ...locator, oid: 0 }, leftover: 'role' }])
    for (const each of databases) await provider.drop(each.locator, call)
    expect((await provider.list({ prefix: 'orphan_' }, call)).databases).toEqual([])
    expect(await database.sql('SELECT FROM pg_roles WHERE rolname = $1', [`tenantry_${locator.id}`])).toEqual(
      [],
    )
  })

  it('pages through more schemas than one answer holds', async () => {
    const provider = start({ isolation: 'search_path' })
    await database.sql(
      "DO $$ BEGIN FOR i IN 1..620 LOOP EXECUTE format('CREATE SCHEMA paged_%s', i); " +
        "EXECUTE format('COMMENT ON SCHEMA paged_%s IS ''tenantry:%s''', i, lpad(i::text, 26, '0')); END LOOP; END $$",
    )
    const first = await provider.list({ prefix: 'paged_' }, call)
    expect(first.databases).toHaveLength(500)
    const second = await provider.list({ prefix: 'paged_', cursor: first.cursor ?? '' }, call)
    expect(second.cursor).toBeUndefined()
    const names = [...first.databases, ...second.databases].map(({ name }) => name)
    expect(new Set(names).size).toBe(620)
  })
})

describe('dropping schemas', () => {
  it.each(ISOLATIONS)(
    '%s: ends what other processes still do in it, and is done in bounded time',
    async (isolation) => {
      const [mine, theirs] = [start({ isolation, drainTimeout: 2_000 }), start({ isolation })]
      const name = `${isolation}_busy`
      const other = await open(theirs, `${isolation}_other`)
      const client = await open(theirs, name)
      const idle = await client.connect()
      await idle.query('BEGIN')
      await idle.query('SELECT * FROM notes')
      const [locked, sleeping] = [await client.connect(), await client.connect()]
      await locked.query('BEGIN')
      await locked.query('LOCK TABLE notes IN ROW EXCLUSIVE MODE')
      const slow = sleeping.query('SELECT pg_sleep(30) FROM notes').catch((error: unknown) => error)
      const untouched = await other.connect()
      await untouched.query('BEGIN')
      await untouched.query('SELECT * FROM notes')
      const began = Date.now()
      const locator = await mine.find(name, call)
      await mine.drop(locator ?? {}, call)
      expect(Date.now() - began).toBeLessThan(4_000)
      expect(await slow).toBeInstanceOf(Error)
      await expect(idle.query('SELECT * FROM notes')).rejects.toThrow()
      for (const each of [idle, locked, sleeping]) each.release()
      expect((await untouched.query('SELECT * FROM notes')).rowCount).toBe(1)
      untouched.release()
      expect((await failure(client.query('SELECT * FROM notes'))).code).toBe('tenant_not_found')
    },
  )

  it.each(ISOLATIONS)(
    '%s: a schema dropped behind the library’s back is an error, never another schema',
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
      await provider.create(`${isolation}_vanished`, call)
      await expect(client.query('CREATE TABLE t (a int)')).rejects.toThrow()
    },
  )
})

it.each(['role', 'set_role'] as const)(
  '%s: a tenant that takes the lock of another’s name holds up neither its making, its closing nor its deletion',
  async (isolation) => {
    const provider = start({ isolation })
    const alice = await open(provider, `${isolation}_holder`)
    const name = `${isolation}_held`
    const hold = async (): Promise<void> => {
      const client = await alice.connect()
      await client.query('BEGIN')
      await client.query('SELECT pg_advisory_xact_lock(1952804961, hashtext($1))', [name])
    }
    await hold()
    // The same in another database is another lock, and of no concern.
    const elsewhere = await createDatabase()
    const beyond = providerOf(elsewhere, { isolation })
    const bystander = await (await open(beyond, `${isolation}_beyond`)).connect()
    await bystander.query('BEGIN')
    await bystander.query('SELECT pg_advisory_xact_lock(1952804961, hashtext($1))', [name])
    const { locator } = await provider.create(name, call)
    expect((await bystander.query('SELECT 1 AS one')).rows).toEqual([{ one: 1 }])
    await bystander.query('ROLLBACK')
    bystander.release()
    await beyond.close()
    await elsewhere.drop()
    await hold()
    await provider.setAccess?.(locator, 'closed', call)
    await hold()
    await provider.drop(locator, call)
    expect(await provider.find(name, call)).toBeUndefined()
  },
  30_000,
)

describe('access', () => {
  it.each(ISOLATIONS)(
    '%s: closed ends every connection in every process and refuses new work; open undoes it',
    async (isolation) => {
      const [mine, theirs] = [start({ isolation }), start({ isolation })]
      const name = `${isolation}_shut`
      const [client, remote] = [await open(mine, name), await open(theirs, name)]
      const { locator } = await mine.create(name, call)
      const began = await remote.connect()
      await began.query('BEGIN')
      await mine.setAccess?.(locator, 'closed', call)
      await expect(began.query('SELECT 1')).rejects.toThrow()
      began.release()
      for (const each of [client, remote]) {
        expect((await failure(each.query('SELECT * FROM notes'))).code).toBe('tenant_suspended')
        const transaction = async (): Promise<void> => {
          const held = await each.connect()
          try {
            await held.query('BEGIN')
            await held.query('SELECT * FROM notes')
          } finally {
            held.release(true)
          }
        }
        expect((await failure(transaction())).code).toBe('tenant_suspended')
      }
      await mine.setAccess?.(locator, 'open', call)
      for (const each of [client, remote]) expect((await each.query('SELECT * FROM notes')).rowCount).toBe(1)
    },
  )

  it.each(['role', 'search_path'] as const)(
    '%s: a tenant that makes something of what says that its schema is open is shut and deleted like any other',
    async (isolation) => {
      const provider = start({ isolation })
      const client = await open(provider, `${isolation}_clings`)
      const { locator } = await provider.create(`${isolation}_clings`, call)
      for (let round = 0; round < 2; round++) {
        await client.query(`CREATE TABLE clings_${round} (body text COLLATE "${locator.id}")`)
        const reader = await client.connect()
        await reader.query('BEGIN')
        await reader.query(`SELECT * FROM clings_${round}`)
        await provider.setAccess?.(locator, 'closed', call)
        reader.release(true)
        expect((await failure(client.query('SELECT 1'))).code).toBe('tenant_suspended')
        await provider.setAccess?.(locator, 'open', call)
        await client.query(`SELECT * FROM clings_${round} ORDER BY body`)
      }
      await provider.drop(locator, call)
      expect(await provider.find(`${isolation}_clings`, call)).toBeUndefined()
    },
  )

  it('search_path: a transaction begun before another has made the schema anew does not see that', async () => {
    const [mine, theirs] = [start({ isolation: 'search_path' }), start({ isolation: 'search_path' })]
    const held = await (await open(mine, 'begun_before')).connect()
    await held.query('SELECT * FROM notes')
    await held.query('BEGIN')
    await database.sql('DROP SCHEMA begun_before CASCADE')
    await open(theirs, 'begun_before')
    expect(await failure(held.query('SELECT body FROM notes'))).toMatchObject({ code: 'stale_tenant' })
    held.release()
  })

  it('search_path: a schema that was restored, under another number, is shut by its old locator too', async () => {
    const provider = start({ isolation: 'search_path' })
    const client = await open(provider, 'restored_a')
    const { locator } = await provider.create('restored_a', call)
    await provider.setAccess?.({ ...locator, oid: 1 }, 'closed', call)
    expect(await failure(client.query('SELECT 1'))).toMatchObject({ code: 'provider_unavailable' })
  })

  it('role: who was refused as another opened the schema again is told to come back, not that its password is wrong', async () => {
    const provider = start({ maxConnections: 2 })
    const client = await open(provider, 'opened_meanwhile')
    const { locator } = await provider.create('opened_meanwhile', call)
    await provider.setAccess?.(locator, 'closed', call)
    // Open by the time the refusal is looked into.
    await provider.setAccess?.(locator, 'open', call)
    for (const role of [`tenantry_${locator.id}`, `tenantry_${locator.id}_owner`])
      await database.sql(`ALTER ROLE "${role}" NOLOGIN`)
    await client.query('SELECT 1').catch(() => {})
    expect(await failure(client.query('SELECT 1'))).toMatchObject({
      code: 'provider_unavailable',
      retryAfter: 1,
    })
  })

  it('admit is asked before each use', async () => {
    const provider = start({ isolation: 'set_role' })
    const { locator } = await provider.create('admit_a', call)
    let asked = 0
    const client = await provider.connect(
      { locator, purpose: 'serve', verify, beforeUse: () => void asked++ },
      call,
    )
    await client.query('SELECT 1')
    ;(await client.connect()).release()
    await provider.batch(client, [{ sql: 'SELECT 1' }])
    expect(asked).toBe(3)
  })
})

describe('placement', () => {
  it('puts tenants where it is told, finds them there again, and keeps them there', async () => {
    const second = await createDatabase()
    const provider = start({
      servers: { eu: { connection: second.url } },
      placement: (name) => (name.endsWith('x') ? 'eu' : 'default'),
    })
    const [a, b] = [
      await provider.create('placed_a', { ...call, placement: 'eu' }),
      await provider.create('placed_x', call),
    ]
    expect([a.locator.server, b.locator.server]).toEqual(['eu', 'eu'])
    expect(await provider.create('placed_a', call)).toEqual({ ...a, created: false })
    expect(await provider.find('placed_a', call)).toEqual(a.locator)
    await provider.create('placed_b', call)
    const listed: string[] = []
    for (let cursor: string | undefined = '', first = true; first || cursor; first = false) {
      const page = await provider.list({ prefix: 'placed_', ...(cursor ? { cursor } : {}) }, call)
      listed.push(...page.databases.map(({ name }) => name))
      cursor = page.cursor
    }
    expect(listed.sort()).toEqual(['placed_a', 'placed_b', 'placed_x'])
    expect(await failure(provider.create('placed_c', { ...call, placement: 'mars' }))).toMatchObject({
      code: 'provider_rejected',
    })
    await provider.close()
    await second.drop()
  })
})

describe('a server that ends connections', () => {
  it.each(ISOLATIONS)(
    '%s: every backend terminated under load; the process lives and the next query works',
    async (isolation) => {
      const provider = start({ isolation })
      const names = Array.from({ length: 6 }, (_, at) => `${isolation}_ended_${at}`)
      const clients = await Promise.all(names.map((name) => open(provider, name)))
      const ended = await connected(database.url)
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
