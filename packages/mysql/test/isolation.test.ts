import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { deriveLockName, deriveUserPassword, hashNativePassword } from '../src/connections/credentials.ts'
import { SECRET } from './harness.ts'
import { startRelay } from './relay.ts'
import { startServer } from './server.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

let environment: TestEnvironment
beforeAll(() => {
  environment = createTestEnvironment()
})
afterAll(() => environment?.end())

/** Logs in as a tenant's user, as a process with a stolen credential would. */
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

const readErrorCode = (error: { code?: string }) => error.code

describe('the user of a tenant', () => {
  it('has all rights on exactly its own database, and none elsewhere', async () => {
    const { locator, name } = await environment.open('grants')
    const user = environment.userName(locator)
    expect(user.length).toBeLessThanOrEqual(32)
    const grants = (await environment.sql('SHOW GRANTS FOR ?@?', [user, '%'])).map((row) =>
      String(Object.values(row)[0]),
    )
    expect(grants).toHaveLength(2)
    expect(grants[0]).toMatch(/^GRANT USAGE ON \*\.\* TO /)
    expect(grants[1]).toBe(
      `GRANT ALL PRIVILEGES ON \`${name.replaceAll('_', '\\_')}\`.* TO \`${user}\`@\`%\``,
    )
  })

  it('cannot open a database with a name that the pattern of its own name would match', async () => {
    const { client, name } = await environment.open('a_b')
    const neighbours = ['axb', 'a-b', 'a1b', 'aab'].map((end) => name.replace(/a_b$/, end))
    for (const neighbour of [...neighbours, name.replace('_', 'x')]) {
      await environment.sql(`CREATE DATABASE \`${neighbour}\``)
      try {
        await environment.sql(`CREATE TABLE \`${neighbour}\`.notes AS SELECT 1 AS id`)
        await expect(client.query(`SELECT * FROM \`${neighbour}\`.notes`)).rejects.toMatchObject({
          errno: 1142,
        })
        await expect(client.query(`USE \`${neighbour}\``)).rejects.toMatchObject({ errno: 1044 })
        await expect(client.query(`CREATE TABLE \`${neighbour}\`.x (id INT)`)).rejects.toMatchObject({
          errno: 1142,
        })
      } finally {
        await environment.sql(`DROP DATABASE \`${neighbour}\``)
      }
    }
  })

  it('sees the names of no other tenants', async () => {
    const [one, other] = [await environment.open('seen'), await environment.open('hidden')]
    const [rows] = await one.client.query('SHOW DATABASES')
    const names = (rows as { Database: string }[]).map(({ Database }) => Database)
    expect(names).toContain(one.name)
    expect(names).not.toContain(other.name)
    const [users] = await one.client.query(
      "SELECT * FROM information_schema.user_privileges WHERE grantee LIKE '%tenantry%'",
    )
    expect(JSON.stringify(users)).not.toContain(environment.userName(other.locator))
    const [processes] = await one.client.query('SELECT user FROM information_schema.processlist')
    expect(new Set((processes as { user: string }[]).map(({ user }) => user))).toEqual(
      new Set([environment.userName(one.locator)]),
    )
  })

  it('is not created where every user of the server may open databases of such names', async () => {
    const pattern = `${environment.prefix.replaceAll('_', '\\_')}open%`
    await environment.sql("INSERT INTO mysql.db (Host, Db, User, Select_priv) VALUES ('%', ?, '', 'Y')", [
      pattern,
    ])
    try {
      await expect(environment.provider.create(`${environment.prefix}open1`, call)).rejects.toMatchObject({
        code: 'provider_rejected',
        message: expect.stringContaining('may open databases named like'),
      })
      expect(await environment.sql('SHOW DATABASES LIKE ?', [`${environment.prefix}open1`])).toEqual([])
    } finally {
      await environment.sql("DELETE FROM mysql.db WHERE User = '' AND Db = ?", [pattern])
    }
  })

  it('has a password that its locator does not contain, and that another secret does not give', async () => {
    const { locator, name } = await environment.open('secret')
    expect(JSON.stringify(locator)).not.toContain(
      await deriveUserPassword(SECRET, environment.userName(locator)),
    )
    const otherProvider = environment.another({
      secret: 'another secret, which is just as long as the first',
    })
    const client = await otherProvider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'credentials_rejected' })
    const connection = await logIn(environment.userName(locator), name)
    await connection.end()
  })
})

describe('a server that lets the login of a tenant in as another account', () => {
  it('is refused on a new connection and on a connection that served another tenant', {
    timeout: 60_000,
  }, async () => {
    const server = await startServer()
    const own = createTestEnvironment({}, server.url)
    try {
      const { locator } = await own.open('other')
      const single = own.another({ maxConnections: 1 })
      const one = await own.open('one', single)
      await one.client.query('SELECT 1')
      // The server tries accounts with a more exact host first: this anonymous account matches every login.
      const password = await hashNativePassword(await deriveUserPassword(SECRET, own.userName(locator)))
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
    const { client, locator, name } = await environment.open('gone')
    const old = await logIn(environment.userName(locator), name)
    const lease = await client.getConnection()
    const running = lease.query('SELECT SLEEP(60)').catch((error: { code: string }) => error.code)
    await environment.another({ drainTimeout: 100 }).drop(locator, call)
    expect(await running).toBe('provider_unavailable')
    lease.release()
    await expect(old.query('SELECT 1')).rejects.toThrow()
    for (const table of ['user', 'db']) {
      expect(
        await environment.sql(`SELECT User FROM mysql.${table} WHERE User = ?`, [
          environment.userName(locator),
        ]),
      ).toEqual([])
    }
    const connected = await environment.sql('SELECT id FROM information_schema.processlist WHERE user = ?', [
      environment.userName(locator),
    ])
    expect(connected).toEqual([])
    // A tenant of the same name gets another user: the old credential and the old locator open nothing.
    const again = await environment.open('gone')
    expect(environment.userName(again.locator)).not.toBe(environment.userName(locator))
    // MariaDB hides that a user does not exist, so the number of the error varies.
    await expect(logIn(environment.userName(locator), name)).rejects.toMatchObject({ sqlState: '28000' })
    await expect(client.query('SELECT * FROM notes')).rejects.toMatchObject({ code: 'stale_tenant' })
    await environment.provider.drop(locator, call)
    expect((await again.client.query('SELECT count(*) AS n FROM notes'))[0]).toEqual([{ n: 0 }])
  })

  it('is deleted completely by the next find, create or drop after an interrupted deletion', async () => {
    for (const meet of ['find', 'create', 'drop'] as const) {
      for (const hasUser of [true, false]) {
        const { locator, name } = await environment.open(`half-${meet}`)
        await environment.sql(
          `UPDATE \`${environment.registry}\`.tenantry_databases SET access = 'dropping' WHERE name = ?`,
          [name],
        )
        if (!hasUser) await environment.sql('DROP USER ?@?', [environment.userName(locator), '%'])
        const other = environment.another()
        if (meet === 'find') expect(await other.find(name, call)).toBeUndefined()
        if (meet === 'create') expect((await other.create(name, call)).created).toBe(true)
        if (meet === 'drop') await other.drop(locator, call)
        const databases = await environment.sql('SHOW DATABASES LIKE ?', [name])
        expect(databases).toHaveLength(meet === 'create' ? 1 : 0)
        expect(
          await environment.sql('SELECT User FROM mysql.user WHERE User = ?', [
            environment.userName(locator),
          ]),
        ).toEqual([])
        if (meet === 'create') await other.drop((await other.find(name, call)) ?? {}, call)
      }
    }
  })
})

for (const isolation of ['user', 'shared'] as const) {
  describe(`${isolation}: a closed tenant`, () => {
    it('is served by no process, keeps its data, and is served again', async () => {
      const own = createTestEnvironment({ isolation })
      try {
        const { client, locator, name } = await own.open('closed')
        const elsewhere = (await own.open('closed', own.another())).client
        await client.query("INSERT INTO notes VALUES (1, 'kept')")
        await elsewhere.query('SELECT 1')
        await own.provider.setAccess?.(locator, 'closed', call)
        await own.provider.setAccess?.(locator, 'closed', call)
        for (const each of [client, elsewhere]) {
          // An idle connection was ended by the server; the next connection is refused.
          await each.query('SELECT 1').catch(() => {})
          await expect(each.query('SELECT * FROM notes')).rejects.toMatchObject({ code: 'tenant_suspended' })
        }
        if (isolation === 'user') await expect(logIn(own.userName(locator), name)).rejects.toThrow(/locked/)
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

it('a login that is refused while another process opens the database again gives a retryable error', async () => {
  const { client, locator } = await environment.open('opened', environment.another({ maxConnections: 1 }))
  await environment.provider.setAccess?.(locator, 'closed', call)
  // The entry is open again by the time the provider reads it after the refusal.
  await environment.provider.setAccess?.(locator, 'open', call)
  await environment.sql('ALTER USER ?@? ACCOUNT LOCK', [environment.userName(locator), '%'])
  await client.query('SELECT 1').catch(() => {})
  await expect(client.query('SELECT 1')).rejects.toMatchObject({
    code: 'provider_unavailable',
    retryAfter: 1,
  })
})

it('a tenant that changed its own password is refused until its access is set to open again', async () => {
  const { client, locator } = await environment.open('password', environment.another({ maxConnections: 1 }))
  await client.query("SET PASSWORD = PASSWORD('mine')")
  await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'credentials_rejected' })
  await environment.provider.setAccess?.(locator, 'open', call)
  expect((await client.query('SELECT count(*) AS n FROM notes'))[0]).toEqual([{ n: 0 }])
  await expect(client.query('ALTER USER CURRENT_USER() ACCOUNT UNLOCK')).rejects.toMatchObject({
    errno: 1227,
  })
})

describe('a provision that a crash interrupted', () => {
  it.each(['after its entry', 'after its user'])(
    '%s: is not found, is listed with its leftover user, and continues with another user',
    async (left) => {
      const id = '0123456789abcdefghijklm'
      const name = `${environment.prefix}interrupted`
      await environment.open('first')
      await environment.sql(
        `INSERT INTO \`${environment.registry}\`.tenantry_databases VALUES (?, ?, 'open')`,
        [name, id],
      )
      if (left === 'after its user')
        await environment.sql(`CREATE USER tenantry_${id} IDENTIFIED BY 'of before'`)
      expect(await environment.provider.find(name, call)).toBeUndefined()
      const { databases } = await environment.provider.list({ prefix: name }, call)
      expect(databases).toMatchObject([{ name, leftover: 'user' }])
      const { locator, created } = await environment.provider.create(name, call)
      expect(created).toBe(true)
      expect(locator.id).not.toBe(id)
      expect(await environment.sql('SELECT User FROM mysql.user WHERE User = ?', [`tenantry_${id}`])).toEqual(
        [],
      )
      await environment.provider.drop(locator, call)
    },
  )

  it('waits for the lock of the database, and changes nothing without the lock', async () => {
    const name = `${environment.prefix}locked`
    const { locator } = await environment.provider.create(name, call)
    const other = await environment.root.getConnection()
    await other.query('SELECT GET_LOCK(?, 0)', [
      await deriveLockName(SECRET, `${environment.registry}/${name}`),
    ])
    const hasty = environment.another({ drainTimeout: 500 })
    for (const work of [
      () => hasty.drop(locator, call),
      () => hasty.create(name, call),
      () => hasty.setAccess?.(locator, 'closed', call),
    ])
      await expect(work()).rejects.toMatchObject({ code: 'provider_unavailable' })
    expect(await environment.provider.find(name, call)).toEqual(locator)
    other.destroy()
    await hasty.drop(locator, call)
    expect(await environment.provider.find(name, call)).toBeUndefined()
  })
})

it('a tenant cannot take the lock for the deletion of another tenant', async () => {
  const [alice, bob] = [await environment.open('alice'), await environment.open('delayed')]
  const lease = await alice.client.getConnection()
  await lease.query('SELECT GET_LOCK(?, 0)', [
    await deriveLockName(undefined, `${environment.registry}/${bob.name}`),
  ])
  await environment.another({ drainTimeout: 500 }).drop(bob.locator, call)
  lease.release()
  expect(await environment.provider.find(bob.name, call)).toBeUndefined()
})

describe('list', () => {
  it('reports the user that is left of a missing database, and drop removes the user', async () => {
    const [one, other] = [await environment.open('left-1'), await environment.open('left-2')]
    await environment.sql(`DROP DATABASE \`${one.name}\``)
    await environment.sql(`DELETE FROM \`${environment.registry}\`.tenantry_databases WHERE name = ?`, [
      other.name,
    ])
    await environment.sql(`DROP DATABASE \`${other.name}\``)
    const { databases } = await environment.provider.list({ prefix: `${environment.prefix}left-` }, call)
    expect(databases.map(({ name, leftover }) => [name, leftover])).toEqual([
      [one.name, 'user'],
      [other.name, 'user'],
    ])
    for (const { locator } of databases) await environment.provider.drop(locator, call)
    expect(
      (await environment.provider.list({ prefix: `${environment.prefix}left-` }, call)).databases,
    ).toEqual([])
    for (const { locator } of [one, other])
      expect(
        await environment.sql('SELECT User FROM mysql.user WHERE User = ?', [environment.userName(locator)]),
      ).toEqual([])
  })

  it('omits a database that the registry does not know', async () => {
    const name = `${environment.prefix}theirs`
    await environment.sql(`CREATE DATABASE \`${name}\``)
    try {
      await expect(environment.provider.find(name, call)).rejects.toMatchObject({ code: 'name_taken' })
      await expect(environment.provider.create(name, call)).rejects.toMatchObject({ code: 'name_taken' })
      expect((await environment.provider.list({ prefix: name }, call)).databases).toEqual([])
    } finally {
      await environment.sql(`DROP DATABASE \`${name}\``)
    }
  })
})

describe('the host part of users', () => {
  it('is set, and the server refuses logins from other hosts', async () => {
    const own = createTestEnvironment({ userHost: '192.0.2.%' })
    try {
      const { locator } = await own.provider.create(`${own.prefix}host`, call)
      const rows = await own.sql('SELECT Host FROM mysql.user WHERE User = ?', [own.userName(locator)])
      expect(rows).toEqual([{ Host: '192.0.2.%' }])
      const client = await own.provider.connect({ locator, purpose: 'manage', verify: async () => {} }, call)
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'credentials_rejected' })
      await own.provider.drop(locator, call)
      expect(await own.sql('SELECT Host FROM mysql.user WHERE User = ?', [own.userName(locator)])).toEqual([])
    } finally {
      await own.end()
    }
  })
})

it('a database with a prepared XA transaction is deleted once the transaction has ended', {
  timeout: 30_000,
}, async () => {
  const { client, locator, name } = await environment.open('prepared')
  const xid = `'${name}'`
  const lease = await client.getConnection()
  const insert = "INSERT INTO notes VALUES (1, 'prepared')"
  for (const sql of [`XA START ${xid}`, insert, `XA END ${xid}`, `XA PREPARE ${xid}`]) await lease.query(sql)
  lease.release()
  await expect(environment.provider.drop(locator, call)).rejects.toMatchObject({ errno: 1205 })
  await environment.rollBack(xid, lease.threadId)
  await environment.provider.drop(locator, call)
  expect(await environment.provider.find(name, call)).toBeUndefined()
})

it('an old locator does not close the tenant that has the name now', async () => {
  const old = await environment.open('again')
  await environment.provider.drop(old.locator, call)
  const { client, name } = await environment.open('again')
  await environment.provider.setAccess?.(old.locator, 'closed', call)
  const entry = `SELECT access FROM \`${environment.registry}\`.tenantry_databases WHERE name = ?`
  expect(await environment.sql(entry, [name])).toEqual([{ access: 'open' }])
  await client.query('SELECT 1')
})

describe('a changed host part of users', () => {
  it('does not let closed or deleted users in', async () => {
    const { locator, name } = await environment.open('moved')
    const narrow = environment.another({ userHost: '127.0.0.%' })
    await narrow.setAccess?.(locator, 'closed', call)
    await expect(logIn(environment.userName(locator), name)).rejects.toThrow(/locked/)
    await narrow.drop(locator, call)
    const left = 'SELECT Host FROM mysql.user WHERE User = ?'
    expect(await environment.sql(left, [environment.userName(locator)])).toEqual([])
  })
})

it('shared: a client does not reach a database that was recreated during its change of user', async () => {
  const own = createTestEnvironment({ isolation: 'shared' })
  const relay = await startRelay(inject('mysqlUrl'))
  try {
    const url = new URL(inject('mysqlUrl'))
    url.port = String(relay.port)
    const { client, locator, name } = await own.open(
      'recreated',
      own.another({ connection: url.href, maxConnections: 1 }),
    )
    // The change of user begins with the release, and the connection has no database until it ends.
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

it('hostile SQL does not change the data or tables of another tenant', async () => {
  const { hostileSql = () => [] } = (await import('./harness.ts')).createHarness('user')
  const [alice, bob] = [await environment.open('alice'), await environment.open('bob')]
  await bob.client.query("INSERT INTO notes VALUES (1, 'secret of bob')")
  const checksum = () => environment.sql(`CHECKSUM TABLE \`${bob.name}\`.notes EXTENDED`)
  const tables = () =>
    environment.sql('SELECT table_name FROM information_schema.tables WHERE table_schema = ?', [bob.name])
  const before = [await checksum(), await tables()]
  const outcomes: string[] = []
  for (const statements of hostileSql(bob.name, alice.name)) {
    const lease = await alice.client.getConnection()
    for (const sql of statements) {
      const outcome = await lease.query(sql).then(([rows]) => JSON.stringify(rows), readErrorCode)
      outcomes.push(String(outcome))
    }
    lease.release()
  }
  expect(outcomes.join()).not.toContain('secret of bob')
  expect([await checksum(), await tables()]).toEqual(before)
})
