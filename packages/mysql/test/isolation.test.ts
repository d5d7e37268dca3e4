import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { deriveLockName, deriveUserPassword, hashNativePassword } from '../src/connections/credentials.ts'
import { SECRET } from './harness.ts'
import { startRelay } from './relay.ts'
import { startServer } from './server.ts'
import { call, createWorld, type World } from './support.ts'

let world: World
beforeAll(() => {
  world = createWorld()
})
afterAll(() => world?.end())

/** Logs in as a tenant's user, as whoever got hold of its credential would. */
async function logIn(user: string, database?: string) {
  const { hostname: host, port } = new URL(inject('mysqlUrl'))
  const password = await deriveUserPassword(SECRET, user)
  const connection = await createConnection({
    host,
    port: Number(port || 3306),
    user,
    password,
    ...(database !== undefined && { database }),
  })
  connection.on('error', () => {})
  return connection
}

const codeOf = (error: { code?: string }) => error.code

describe('a tenant’s user', () => {
  it('has all rights on exactly its own database, and none elsewhere', async () => {
    const { locator, name } = await world.open('grants')
    const user = world.userOf(locator)
    expect(user.length).toBeLessThanOrEqual(32)
    const grants = (await world.sql('SHOW GRANTS FOR ?@?', [user, '%'])).map((row) =>
      String(Object.values(row)[0]),
    )
    expect(grants).toHaveLength(2)
    expect(grants[0]).toMatch(/^GRANT USAGE ON \*\.\* TO /)
    expect(grants[1]).toBe(
      `GRANT ALL PRIVILEGES ON \`${name.replaceAll('_', '\\_')}\`.* TO \`${user}\`@\`%\``,
    )
  })

  it('reaches no database whose name a pattern would match', async () => {
    const { client, name } = await world.open('a_b')
    const neighbours = ['axb', 'a-b', 'a1b', 'aab'].map((end) => name.replace(/a_b$/, end))
    for (const neighbour of [...neighbours, name.replace('_', 'x')]) {
      await world.sql(`CREATE DATABASE \`${neighbour}\``)
      try {
        await world.sql(`CREATE TABLE \`${neighbour}\`.notes AS SELECT 1 AS id`)
        await expect(client.query(`SELECT * FROM \`${neighbour}\`.notes`)).rejects.toMatchObject({
          errno: 1142,
        })
        await expect(client.query(`USE \`${neighbour}\``)).rejects.toMatchObject({ errno: 1044 })
        await expect(client.query(`CREATE TABLE \`${neighbour}\`.x (id INT)`)).rejects.toMatchObject({
          errno: 1142,
        })
      } finally {
        await world.sql(`DROP DATABASE \`${neighbour}\``)
      }
    }
  })

  it('sees the names of no other tenants', async () => {
    const [one, other] = [await world.open('seen'), await world.open('hidden')]
    const [rows] = await one.client.query('SHOW DATABASES')
    const names = (rows as { Database: string }[]).map(({ Database }) => Database)
    expect(names).toContain(one.name)
    expect(names).not.toContain(other.name)
    const [users] = await one.client.query(
      "SELECT * FROM information_schema.user_privileges WHERE grantee LIKE '%tenantry%'",
    )
    expect(JSON.stringify(users)).not.toContain(world.userOf(other.locator))
    const [processes] = await one.client.query('SELECT user FROM information_schema.processlist')
    expect(new Set((processes as { user: string }[]).map(({ user }) => user))).toEqual(
      new Set([world.userOf(one.locator)]),
    )
  })

  it('is not created where every user of the server may open databases of such names', async () => {
    const pattern = `${world.prefix.replaceAll('_', '\\_')}open%`
    await world.sql("INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', ?, '', 'Y')", [pattern])
    try {
      await expect(world.provider.create(`${world.prefix}open1`, call)).rejects.toMatchObject({
        code: 'provider_rejected',
        message: expect.stringContaining('may open databases named like'),
      })
      expect(await world.sql('SHOW DATABASES LIKE ?', [`${world.prefix}open1`])).toEqual([])
    } finally {
      await world.sql("DELETE FROM mysql.db WHERE User = '' AND Db = ?", [pattern])
    }
  })

  it('has a password that its locator does not tell, and that another secret does not give', async () => {
    const { locator, name } = await world.open('secret')
    expect(JSON.stringify(locator)).not.toContain(await deriveUserPassword(SECRET, world.userOf(locator)))
    const stranger = world.another({ secret: 'another secret, which is just as long as the first' })
    const client = await stranger.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'credentials_rejected' })
    const connection = await logIn(world.userOf(locator), name)
    await connection.end()
  })
})

describe('a server that lets a tenant’s login in as another account', () => {
  it('is refused on a new connection and on one that was another tenant’s', { timeout: 60_000 }, async () => {
    const server = await startServer()
    const own = createWorld({}, server.url)
    try {
      const { locator } = await own.open('other')
      const single = own.another({ maxConnections: 1 })
      const one = await own.open('one', single)
      await one.client.query('SELECT 1')
      // An account whose host is more exact comes first, whatever its name: this one fits every login.
      const password = await hashNativePassword(await deriveUserPassword(SECRET, own.userOf(locator)))
      await own.sql(`CREATE USER ''@'127.0.0.1' IDENTIFIED BY PASSWORD '${password}'`)
      await own.sql("GRANT ALL PRIVILEGES ON *.* TO ''@'127.0.0.1'")
      for (const provider of [single, own.another()]) {
        const client = await provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
        await expect(client.query('SELECT CURRENT_USER() AS u')).rejects.toMatchObject({
          code: 'config_invalid',
          message: expect.stringContaining('@127.0.0.1'),
        })
      }
    } finally {
      await own.root.end()
      await server.stop()
    }
  })
})

describe('a deleted tenant', () => {
  it('leaves neither user nor rights nor connections, and its credential opens nothing', async () => {
    const { client, locator, name } = await world.open('gone')
    const old = await logIn(world.userOf(locator), name)
    const held = await client.getConnection()
    const running = held.query('SELECT SLEEP(60)').catch((error: { code: string }) => error.code)
    await world.another({ drainTimeout: 100 }).drop(locator, call)
    expect(await running).toBe('provider_unavailable')
    held.release()
    await expect(old.query('SELECT 1')).rejects.toThrow()
    for (const table of ['user', 'db']) {
      expect(
        await world.sql(`SELECT User FROM mysql.${table} WHERE User = ?`, [world.userOf(locator)]),
      ).toEqual([])
    }
    const connected = await world.sql('SELECT id FROM information_schema.processlist WHERE user = ?', [
      world.userOf(locator),
    ])
    expect(connected).toEqual([])
    // Made anew: the old credential is that of nobody, and the old locator leads nowhere.
    const again = await world.open('gone')
    expect(world.userOf(again.locator)).not.toBe(world.userOf(locator))
    // MariaDB hides that a user does not exist: some it asks for a password, some not.
    await expect(logIn(world.userOf(locator), name)).rejects.toMatchObject({ sqlState: '28000' })
    await expect(client.query('SELECT * FROM notes')).rejects.toMatchObject({ code: 'stale_tenant' })
    await world.provider.drop(locator, call)
    expect((await again.client.query('SELECT count(*) AS n FROM notes'))[0]).toEqual([{ n: 0 }])
  })

  it('is ended by whoever meets it, wherever its deletion stopped', async () => {
    for (const meet of ['find', 'create', 'drop'] as const) {
      for (const userThere of [true, false]) {
        const { locator, name } = await world.open(`half-${meet}`)
        await world.sql(
          `UPDATE \`${world.registry}\`.tenantry_databases SET access = 'dropping' WHERE name = ?`,
          [name],
        )
        if (!userThere) await world.sql('DROP USER ?@?', [world.userOf(locator), '%'])
        const other = world.another()
        if (meet === 'find') expect(await other.find(name, call)).toBeUndefined()
        if (meet === 'create') expect((await other.create(name, call)).created).toBe(true)
        if (meet === 'drop') await other.drop(locator, call)
        const there = await world.sql('SHOW DATABASES LIKE ?', [name])
        expect(there).toHaveLength(meet === 'create' ? 1 : 0)
        expect(
          await world.sql('SELECT User FROM mysql.user WHERE User = ?', [world.userOf(locator)]),
        ).toEqual([])
        if (meet === 'create') await other.drop((await other.find(name, call)) ?? {}, call)
      }
    }
  })
})

for (const isolation of ['user', 'shared'] as const) {
  describe(`${isolation}: a shut tenant`, () => {
    it('is served by no process, keeps its data, and is served again', async () => {
      const own = createWorld({ isolation })
      try {
        const { client, locator, name } = await own.open('shut')
        const elsewhere = (await own.open('shut', own.another())).client
        await client.query("INSERT INTO notes VALUES (1, 'kept')")
        await elsewhere.query('SELECT 1')
        await own.provider.setAccess?.(locator, 'closed', call)
        await own.provider.setAccess?.(locator, 'closed', call)
        for (const each of [client, elsewhere]) {
          // A connection that was idle learns of it by its end; the next is refused.
          await each.query('SELECT 1').catch(() => {})
          await expect(each.query('SELECT * FROM notes')).rejects.toMatchObject({ code: 'tenant_suspended' })
        }
        if (isolation === 'user') await expect(logIn(own.userOf(locator), name)).rejects.toThrow(/locked/)
        expect(await own.provider.find(name, call)).toEqual(locator)
        await own.provider.setAccess?.(locator, 'open', call)
        for (const each of [client, elsewhere])
          expect((await each.query('SELECT body FROM notes'))[0]).toEqual([{ body: 'kept' }])
      } finally {
        await own.end()
      }
    })
  })
}

it('who was refused as another opened the database again is told to come back, not that its password is wrong', async () => {
  const { client, locator } = await world.open('opened', world.another({ maxConnections: 1 }))
  await world.provider.setAccess?.(locator, 'closed', call)
  // Open by the time the refusal is looked into.
  await world.provider.setAccess?.(locator, 'open', call)
  await world.sql('ALTER USER ?@? ACCOUNT LOCK', [world.userOf(locator), '%'])
  await client.query('SELECT 1').catch(() => {})
  await expect(client.query('SELECT 1')).rejects.toMatchObject({
    code: 'provider_unavailable',
    retryAfter: 1,
  })
})

it('a tenant whose SQL changed its own password is refused until it is opened anew', async () => {
  const { client, locator } = await world.open('password', world.another({ maxConnections: 1 }))
  await client.query("SET PASSWORD = PASSWORD('mine')")
  await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'credentials_rejected' })
  await world.provider.setAccess?.(locator, 'open', call)
  expect((await client.query('SELECT count(*) AS n FROM notes'))[0]).toEqual([{ n: 0 }])
  await expect(client.query('ALTER USER CURRENT_USER() ACCOUNT UNLOCK')).rejects.toMatchObject({
    errno: 1227,
  })
})

describe('a database that a crash left half made', () => {
  it.each(['its entry', 'its user too'])(
    '%s: is not found, is listed with what is left, and is made with another user',
    async (left) => {
      const id = '0123456789abcdefghijklm'
      const name = `${world.prefix}half-made`
      await world.open('first')
      await world.sql(`INSERT INTO \`${world.registry}\`.tenantry_databases VALUES (?, ?, 'open')`, [
        name,
        id,
      ])
      if (left === 'its user too') await world.sql(`CREATE USER tenantry_${id} IDENTIFIED BY 'of before'`)
      expect(await world.provider.find(name, call)).toBeUndefined()
      const { databases } = await world.provider.list({ prefix: name }, call)
      expect(databases).toMatchObject([{ name, leftover: 'user' }])
      const { locator, created } = await world.provider.create(name, call)
      expect(created).toBe(true)
      expect(locator.id).not.toBe(id)
      expect(await world.sql('SELECT User FROM mysql.user WHERE User = ?', [`tenantry_${id}`])).toEqual([])
      await world.provider.drop(locator, call)
    },
  )

  it('and nothing is done without the lock', async () => {
    const name = `${world.prefix}locked`
    const { locator } = await world.provider.create(name, call)
    const other = await world.root.getConnection()
    await other.query('SELECT GET_LOCK(?, 0)', [await deriveLockName(SECRET, `${world.registry}/${name}`)])
    const hasty = world.another({ drainTimeout: 500 })
    for (const work of [
      () => hasty.drop(locator, call),
      () => hasty.create(name, call),
      () => hasty.setAccess?.(locator, 'closed', call),
    ])
      await expect(work()).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect(await world.provider.find(name, call)).toEqual(locator)
    other.destroy()
    await hasty.drop(locator, call)
    expect(await world.provider.find(name, call)).toBeUndefined()
  })
})

it('no lock that a tenant can name holds up another’s deletion', async () => {
  const [alice, bob] = [await world.open('alice'), await world.open('held-up')]
  const held = await alice.client.getConnection()
  await held.query('SELECT GET_LOCK(?, 0)', [
    await deriveLockName(undefined, `${world.registry}/${bob.name}`),
  ])
  await world.another({ drainTimeout: 500 }).drop(bob.locator, call)
  held.release()
  expect(await world.provider.find(bob.name, call)).toBeUndefined()
})

describe('list', () => {
  it('tells what is left of a database that is gone, and drop takes it away', async () => {
    const [one, other] = [await world.open('left-1'), await world.open('left-2')]
    await world.sql(`DROP DATABASE \`${one.name}\``)
    await world.sql(`DELETE FROM \`${world.registry}\`.tenantry_databases WHERE name = ?`, [other.name])
    await world.sql(`DROP DATABASE \`${other.name}\``)
    const { databases } = await world.provider.list({ prefix: `${world.prefix}left-` }, call)
    expect(databases.map(({ name, leftover }) => [name, leftover])).toEqual([
      [one.name, 'user'],
      [other.name, 'user'],
    ])
    for (const { locator } of databases) await world.provider.drop(locator, call)
    expect((await world.provider.list({ prefix: `${world.prefix}left-` }, call)).databases).toEqual([])
    for (const { locator } of [one, other])
      expect(await world.sql('SELECT User FROM mysql.user WHERE User = ?', [world.userOf(locator)])).toEqual(
        [],
      )
  })

  it('is not confused by a database that somebody else made', async () => {
    const name = `${world.prefix}theirs`
    await world.sql(`CREATE DATABASE \`${name}\``)
    try {
      await expect(world.provider.find(name, call)).rejects.toMatchObject({ code: 'name_taken' })
      await expect(world.provider.create(name, call)).rejects.toMatchObject({ code: 'name_taken' })
      expect((await world.provider.list({ prefix: name }, call)).databases).toEqual([])
    } finally {
      await world.sql(`DROP DATABASE \`${name}\``)
    }
  })
})

describe('the host part of users', () => {
  it('is set, and keeps others out', async () => {
    const own = createWorld({ userHost: '192.0.2.%' })
    try {
      const { locator } = await own.provider.create(`${own.prefix}host`, call)
      const rows = await own.sql('SELECT Host FROM mysql.user WHERE User = ?', [own.userOf(locator)])
      expect(rows).toEqual([{ Host: '192.0.2.%' }])
      const client = await own.provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'credentials_rejected' })
      await own.provider.drop(locator, call)
      expect(await own.sql('SELECT Host FROM mysql.user WHERE User = ?', [own.userOf(locator)])).toEqual([])
    } finally {
      await own.end()
    }
  })
})

it('a database in which an XA transaction was left is deleted once that has ended, and nobody waits longer', {
  timeout: 30_000,
}, async () => {
  const { client, locator, name } = await world.open('prepared')
  const xid = `'${name}'`
  const held = await client.getConnection()
  const insert = "INSERT INTO notes VALUES (1, 'prepared')"
  for (const sql of [`XA START ${xid}`, insert, `XA END ${xid}`, `XA PREPARE ${xid}`]) await held.query(sql)
  held.release()
  await expect(world.provider.drop(locator, call)).rejects.toMatchObject({ errno: 1205 })
  await world.rollBack(xid, held.threadId)
  await world.provider.drop(locator, call)
  expect(await world.provider.find(name, call)).toBeUndefined()
})

it('an old locator shuts nobody out', async () => {
  const old = await world.open('again')
  await world.provider.drop(old.locator, call)
  const { client, name } = await world.open('again')
  await world.provider.setAccess?.(old.locator, 'closed', call)
  const entry = `SELECT access FROM \`${world.registry}\`.tenantry_databases WHERE name = ?`
  expect(await world.sql(entry, [name])).toEqual([{ access: 'open' }])
  await client.query('SELECT 1')
})

describe('a host part of users that has changed', () => {
  it('lets nobody in who was shut out or deleted', async () => {
    const { locator, name } = await world.open('moved')
    const narrow = world.another({ userHost: '127.0.0.%' })
    await narrow.setAccess?.(locator, 'closed', call)
    await expect(logIn(world.userOf(locator), name)).rejects.toThrow(/locked/)
    await narrow.drop(locator, call)
    const left = 'SELECT Host FROM mysql.user WHERE User = ?'
    expect(await world.sql(left, [world.userOf(locator)])).toEqual([])
  })
})

it('shared: who was turned to a database as it was made anew does not get the new one', async () => {
  const own = createWorld({ isolation: 'shared' })
  const relay = await startRelay(inject('mysqlUrl'))
  try {
    const url = new URL(inject('mysqlUrl'))
    url.port = String(relay.port)
    const { client, locator, name } = await own.open(
      'anew',
      own.another({ connection: url.href, maxConnections: 1 }),
    )
    // Begun with the release, and in no database until it is done.
    const met = relay.at('ROLLBACK', 'hold')
    await client.query('SET @left = 1')
    await met
    await own.sql(`UPDATE \`${own.registry}\`.tenantry_databases SET id = ? WHERE name = ?`, [
      '0123456789abcdefghijklm',
      name,
    ])
    relay.release()
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'stale_tenant' })
    await own.sql(`UPDATE \`${own.registry}\`.tenantry_databases SET id = ? WHERE name = ?`, [
      locator.id,
      name,
    ])
  } finally {
    await own.end()
    await relay.close()
  }
})

it('hostile SQL leaves another tenant’s bytes as they are', async () => {
  const { hostileSql = () => [] } = (await import('./harness.ts')).createHarness('user')
  const [alice, bob] = [await world.open('alice'), await world.open('bob')]
  await bob.client.query("INSERT INTO notes VALUES (1, 'secret of bob')")
  const checksum = () => world.sql(`CHECKSUM TABLE \`${bob.name}\`.notes EXTENDED`)
  const tables = () =>
    world.sql('SELECT table_name FROM information_schema.tables WHERE table_schema = ?', [bob.name])
  const before = [await checksum(), await tables()]
  const outcomes: string[] = []
  for (const statements of hostileSql(bob.name, alice.name)) {
    const held = await alice.client.getConnection()
    for (const sql of statements) {
      const outcome = await held.query(sql).then(([rows]) => JSON.stringify(rows), codeOf)
      outcomes.push(String(outcome))
    }
    held.release()
  }
  expect(outcomes.join()).not.toContain('secret of bob')
  expect([await checksum(), await tables()]).toEqual(before)
})
