import type { RowDataPacket } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { deriveUserPassword, hashNativePassword } from '../src/connections/credentials.ts'
import { classifyTaint } from '../src/connections/session-taint.ts'
import { requireStrictMode } from '../src/connections/sql-mode.ts'
import { assertGrants } from '../src/control-plane/privileges.ts'
import { adminLogin, driverOptions, withLogin } from '../src/driver-options.ts'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'
import { mysqlSettings } from '../src/options.ts'
import { escapeGrantPattern } from '../src/sql-text.ts'
import { SECRET } from './harness.ts'
import { startServer } from './server.ts'
import { call, createTestEnvironment, type TestEnvironment } from './support.ts'

describe('the effect of a statement on its session', () => {
  it.each([
    'SELECT * FROM `notes` WHERE id = ?',
    'insert into `notes` (`id`, `body`) values (?, ?)',
    'UPDATE notes SET body = ? WHERE id = ?',
    'delete from notes',
    "SELECT '``' AS x",
    'WITH t AS (SELECT 1) SELECT * FROM t',
    '-- a remark\nSELECT 1',
  ])('%s: none that its text shows', (sql) => expect(classifyTaint(sql)).toBe('plain'))

  // sessions.test.ts shows that a reset clears each of these kinds.
  it.each([
    'BEGIN', 'begin work', ' BEGIN ;', 'START TRANSACTION', 'START TRANSACTION READ ONLY', 'COMMIT', 'ROLLBACK',
    'ROLLBACK TO SAVEPOINT a', 'SAVEPOINT a', 'RELEASE SAVEPOINT a', 'CREATE TABLE x (id INT)',
    'ALTER TABLE x ADD COLUMN y INT', 'DROP TABLE x', 'CREATE UNIQUE INDEX i ON x (y)',
  ])('%s: one that a reset clears', (sql) => expect(classifyTaint(sql)).toBe('session')) // biome-ignore format: a list

  it.each([
    'SELECT @a := 1',
    'SELECT 1 INTO @a',
    "SELECT GET_LOCK('x', 1)",
    "SELECT `GET_LOCK`('x', 1)",
    "SELECT '`', GET_LOCK('x', 1), '`'",
    'SELECT LAST_INSERT_ID(7)',
    'SELECT NEXTVAL(s)',
    'SELECT 1 /*! , GET_LOCK(1,1) */',
    '/*! USE other */',
    '/*M! USE other */',
    "SELECT * FROM notes INTO OUTFILE '/tmp/x'",
    'USE other', 'SET autocommit = 0', 'CALL p()', 'LOCK TABLES notes WRITE', 'DROP DATABASE own', 'START SLAVE',
    "BEGIN NOT ATOMIC EXECUTE IMMEDIATE 'USE other'; END", 'CREATE TABLE x AS SELECT @a := 1', 'COMMIT /*! */',
    'DROP /* */ DATABASE own', 'ALTER DATABASE own CHARACTER SET latin1', 'CREATE PROCEDURE p() SELECT 1',
    'CREATE TEMPORARY TABLE x (id INT)', 'PREPARE s FROM "SELECT 1"', 'HANDLER notes OPEN', 'DO 1', '', 'XA START "x"', ';USE other',
  ])('%s: unknown', (sql) => expect(classifyTaint(sql)).toBe('any')) // biome-ignore format: a list
})

describe('options', () => {
  const good: MysqlProviderOptions = { connection: 'mysql://root@127.0.0.1', secret: SECRET }

  it.each<[string, Partial<Record<keyof MysqlProviderOptions, unknown>>]>([
    ['connection', { connection: undefined }],
    ['connection', { connection: 'postgres://x' }],
    ['connection', { connection: { uri: 'mysql://x' } }],
    ['connection.host', { connection: { host: 'a\0b' } }],
    ['connection.multipleStatements', { connection: { multipleStatements: true } }],
    ['connection.multipleStatements', { connection: { flags: ['MULTI_STATEMENTS'] } }],
    ['servers.two.connection', { servers: { two: { connection: 'mysql://root@127.0.0.1?user=evil' } } }],
    ['connection.stream', { connection: { stream: {} } }],
    ['secret', { secret: undefined }],
    ['secret', { secret: 'short' }],
    ['isolation', { isolation: 'none' }],
    ['cleaning', { cleaning: 'never' }],
    ['userHost', { userHost: "%' IDENTIFIED BY 'x" }],
    ['registry', { registry: 'a`b' }],
    ['placement', { placement: 'elsewhere' }],
    ['servers', { servers: { 'a/b': good } }],
    ['servers.two.connection', { servers: { two: {} } }],
    ['maxConnections', { maxConnections: 0 }],
    ['maxConnections', { maxConnections: 2.5 }],
    ['maxConnectionsPerTenant', { maxConnectionsPerTenant: 1.5 }],
    ['connection', { connection: 'mysql://root:100%@127.0.0.1/x' }],
    ['idleTimeout', { idleTimeout: Number.NaN }],
  ])('a mistake in %s throws at construction', (option, change) => {
    expect(() => createMysqlProvider({ ...good, ...change } as MysqlProviderOptions)).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        detail: expect.stringMatching(new RegExp(`^${option}:`)),
      }),
    )
  })

  // The driver takes further parameters from a URL, which decide the user, the host or the form of a message.
  it.each([
    'user=evil', 'password=evil', 'password1=evil', 'password2=evil', 'passwordSha1=evil', 'host=evil.example', 'port=1',
    'database=evil', 'multipleStatements=true', 'flags=MULTI_STATEMENTS', 'uri=mysql://evil.example', 'stream=1', 'pool=1',
    'isServer=1', 'insecureAuth=true', 'enableCleartextPlugin=true', 'authPlugins={}', 'authSwitchHandler=1', 'debug=true',
    'localAddress=127.0.0.2', 'infileStreamFactory=1', 'queryFormat=1', 'connectionLimit=1', 'ssl-mode=REQUIRED', 'sslmode=require',
    '__proto__=1', 'USER=evil',
  ])('a connection URL may not set %s', (parameter) => {
    const name = parameter.split('=')[0]
    expect(() => createMysqlProvider({ ...good, connection: `mysql://root@127.0.0.1/app?${parameter}` })).toThrow(
      expect.objectContaining({
        code: 'config_invalid',
        message: expect.stringContaining(`connection: the URL sets "${name}"`),
      }),
    )
  }) // biome-ignore format: a list

  it.each(['mysql://root@one.example,two.example/app', 'mysql://root@one.example:3306,two.example:3306/app'])(
    'a connection URL with several hosts is refused and names the option for several servers: %s',
    (connection) => {
      expect(() => createMysqlProvider({ ...good, connection })).toThrow(
        expect.objectContaining({
          code: 'config_invalid',
          message: expect.stringContaining('several hosts'),
        }),
      )
    },
  )

  it.each([
    ['mysql://root@%2Fcloudsql%2Fproject%3Aeurope%3Adb/app', '/cloudsql/project:europe:db'],
    ['mysql://root@localhost/app?socketPath=/run/mysqld/mysqld.sock', '/run/mysqld/mysqld.sock'],
    ['mysql:///app?socketPath=%2Frun%2Fmysqld.sock', '/run/mysqld.sock'],
  ])('a connection URL may name a socket: %s', (url, socketPath) => {
    expect(driverOptions(url)).toMatchObject({ socketPath, database: 'app' })
  })

  it('a connection URL that names a socket and another host is refused', () => {
    const connection = 'mysql://root@db.example/app?socketPath=/run/mysqld.sock'
    expect(() => createMysqlProvider({ ...good, connection })).toThrow(
      expect.objectContaining({ code: 'config_invalid', message: expect.stringContaining('socket') }),
    )
  })

  it('a connection URL accepts an IPv6 address, a TLS profile and options that convert values', () => {
    const url = 'mysql://root@[::1]:3307/app?timezone=%2B02:00&dateStrings=true&ssl=true&charset=utf8mb4'
    expect(driverOptions(url)).toMatchObject({
      host: '::1',
      port: 3307,
      timezone: '+02:00',
      dateStrings: true,
      ssl: {},
    })
    expect(driverOptions('mysql://root@db.example?ssl=false')).not.toHaveProperty('ssl')
    expect(driverOptions('mysql://root@db.example?ssl={"rejectUnauthorized":true}')).toMatchObject({
      ssl: { rejectUnauthorized: true },
    })
  })

  it('isolation: shared needs no secret', () =>
    expect(mysqlSettings({ ...good, secret: undefined as never, isolation: 'shared' }).isolation).toBe(
      'shared',
    ))

  it('the connection of a tenant contains no credential of the administrator', () => {
    const options = driverOptions('mysql://ad%20min:p%40ss@db.example:3307/first?timezone=Z')
    Object.assign(options, { password2: 'two', passwordSha1: 'abc' })
    expect(adminLogin(options)).toEqual({ user: 'ad min', password: 'p@ss', database: 'first' })
    const tenant = withLogin(options, { user: 't', password: 'own', database: 'd' })
    expect(JSON.stringify(tenant)).not.toMatch(/p@ss|two|abc|first|ad min/)
    expect(tenant).toMatchObject({ host: 'db.example', port: 3307, timezone: 'Z', user: 't', database: 'd' })
  })
})

describe('sessions, passwords and grants', () => {
  it('a session becomes strict, with backslash escapes, by one statement where the server is not strict', () => {
    expect(requireStrictMode('STRICT_TRANS_TABLES,NO_ZERO_DATE').statement).toBeUndefined()
    expect(requireStrictMode('').statement).toBe("SET SESSION sql_mode = 'STRICT_TRANS_TABLES'")
    expect(requireStrictMode('ANSI_QUOTES,STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES').mode).toBe(
      'ANSI_QUOTES,STRICT_ALL_TABLES',
    )
  })

  it('passwords differ by user and by secret, and are hashed as MariaDB does', async () => {
    const all = await Promise.all([
      deriveUserPassword(SECRET, 'a'),
      deriveUserPassword(SECRET, 'b'),
      deriveUserPassword(`${SECRET}!`, 'a'),
    ])
    expect(new Set(all).size).toBe(3)
    for (const each of all) expect(each).toMatch(/^aA1_[\w]{40,}$/)
    expect(await hashNativePassword('password')).toBe('*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19')
  })

  it('grants on more or less than the own database are refused', () => {
    const own = escapeGrantPattern('tenant_a')
    const usage = { g: 'GRANT USAGE ON *.* TO `u`@`%`' }
    const right = { g: 'GRANT ALL PRIVILEGES ON `tenant\\_a`.* TO `u`@`%`' }
    assertGrants([usage, right], own)
    for (const rows of [
      [usage],
      [usage, { g: 'GRANT ALL PRIVILEGES ON `tenant_a`.* TO `u`@`%`' }],
      [usage, right, { g: 'GRANT SELECT ON `other`.* TO `u`@`%`' }],
      [usage, { g: `${right.g} WITH GRANT OPTION` }],
      [{ g: 'GRANT ALL PRIVILEGES ON *.* TO `u`@`%`' }],
      [{ g: 'GRANT FILE ON *.* TO `u`@`%`' }, right],
    ])
      expect(() => assertGrants(rows, own)).toThrow(/database alone/)
  })
})

describe('on the server', () => {
  let environment: TestEnvironment
  beforeAll(() => {
    environment = createTestEnvironment()
  })
  afterAll(() => environment?.end())

  it('diagnose names the limits that are too low for the fleet', async () => {
    await environment.open('one')
    expect(
      (await environment.provider.diagnose?.({ tenants: 1 }, call))?.filter((each) =>
        /table_open|_files/.test(each),
      ),
    ).toEqual([])
    const findings = (
      await environment.another({ maxConnections: 100_000 }).diagnose?.({ tenants: 1_000_000 }, call)
    )?.join('\n')
    for (const name of ['table_open_cache', 'innodb_open_files', 'open_files_limit', 'max_connections'])
      expect(findings).toContain(name)
    expect(findings).toContain('1000000 tenants with 1 tables each')
  })

  it('tenants are placed on servers by name, found on any, and listed over all', async () => {
    const server = await startServer(['--lower-case-table-names=1', '--sql-mode='])
    const second = createTestEnvironment({}, server.url)
    try {
      const { prefix } = environment
      const provider = environment.another({
        servers: { second: { connection: server.url } },
        placement: (name) => (name.endsWith('2') ? 'second' : 'default'),
      })
      const one = await provider.create(`${prefix}p1`, call)
      const two = await provider.create(`${prefix}p2`, call)
      const explicit = await provider.create(`${prefix}p3`, { ...call, placement: 'second' })
      expect([one, two, explicit].map(({ locator }) => locator.server)).toEqual([
        'default',
        'second',
        'second',
      ])
      expect(await second.sql('SHOW DATABASES LIKE ?', [`${prefix}p%`])).toHaveLength(2)
      // An existing database stays on its server, and the new placement is ignored.
      expect(await provider.create(`${prefix}p3`, { ...call, placement: 'default' })).toEqual({
        ...explicit,
        created: false,
      })
      expect(await provider.find(`${prefix}p2`, call)).toEqual(two.locator)
      const client = await provider.connect(
        { locator: two.locator, purpose: 'manage', verify: async () => {} },
        call,
      )
      const [rows] = await client.query('SELECT @@port AS port')
      expect(rows).toEqual([{ port: Number(new URL(server.url).port) }])
      // The mode survives both kinds of reset between two leases.
      for (const before of ['SELECT 1', 'SET @x = 1']) {
        await client.query(before)
        const [[session]] = await client.query<RowDataPacket[]>('SELECT @@sql_mode AS mode')
        expect(session?.mode).toBe('STRICT_TRANS_TABLES')
      }
      const advice = (await provider.diagnose?.({ tenants: 3 }, call))?.join('\n')
      expect(advice).toMatch(/^server second: lower_case_table_names is 1/m)
      expect(advice).toMatch(/^server second: sql_mode is "": each session/m)
      expect(advice).not.toMatch(/^server default: (?:lower_case|sql_mode)/m)
      const names: string[] = []
      for (let cursor: string | undefined, page = 0; page === 0 || cursor !== undefined; page++) {
        const answer = await provider.list(
          { prefix: `${prefix}p`, ...(cursor !== undefined && { cursor }) },
          call,
        )
        names.push(...answer.databases.map(({ name }) => name))
        cursor = answer.cursor
      }
      expect(names).toEqual(['p1', 'p2', 'p3'].map((end) => prefix + end))
      await expect(provider.create(`${prefix}p4`, { ...call, placement: 'nowhere' })).rejects.toMatchObject({
        code: 'provider_rejected',
      })
      for (const { locator } of [one, two, explicit]) await provider.drop(locator, call)
      await provider.close()
    } finally {
      await second.root.end()
      await server.stop()
    }
  })
})
