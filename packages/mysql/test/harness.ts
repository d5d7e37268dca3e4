import type { Harness } from '@tenantry/conformance'
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise'
import { inject } from 'vitest'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'

/** What users' passwords are derived from, in tests. */
export const SECRET = 'a secret of the tests, long enough to be one'

const MAX_CONNECTIONS = 20

export function randomName(prefix: string): string {
  return prefix + Math.random().toString(36).slice(2, 10)
}

/** The bare driver as root, which shares no code with the provider. */
export function openRoot(url: string = inject('mysqlUrl')): Pool {
  return createPool({ uri: url, connectionLimit: 4, supportBigNumbers: true, bigNumberStrings: true })
}

/** All rows of a statement. */
export async function rowsOf(pool: Pool, sql: string, values: unknown[] = []): Promise<RowDataPacket[]> {
  const [rows] = await pool.query<RowDataPacket[]>(sql, values)
  return Array.isArray(rows) ? rows : []
}

/** Databases of one registry, looked at as root. */
export function createHarness(
  isolation: 'user' | 'shared',
  more: Partial<MysqlProviderOptions> = {},
): Harness<Pool> {
  const connection = inject('mysqlUrl')
  const registry = randomName('tenantry_test_')
  const root = openRoot(connection)
  /** Of databases that its providers made: other tests use the server at the same time. */
  const names = new Set<string>()
  /** Of connections that looked into them from here. */
  const lookers = new Set<number>()
  const createProvider = () => {
    const provider = createMysqlProvider({
      connection, registry, isolation, maxConnections: MAX_CONNECTIONS,
      // The kit has dozens of providers at once: together they must not use the server up.
      idleTimeout: 200,
      ...(isolation === 'user' && { secret: SECRET }), ...more,
    }) // biome-ignore format: one object
    return {
      ...provider,
      create: (...given: Parameters<typeof provider.create>) => {
        names.add(given[0])
        return provider.create(...given)
      },
    }
  }

  async function inside(name: string, sql: string) {
    const held = await root.getConnection()
    lookers.add(held.threadId)
    try {
      await held.query(`USE \`${name}\``)
      const [rows] = await held.query<RowDataPacket[]>(sql)
      return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : []
    } finally {
      held.destroy()
    }
  }

  return {
    provider: createProvider(),
    createProvider,
    secrets: [SECRET],
    ...(isolation === 'shared' && { withoutSqlIsolation: 'isolation is shared: one user for all' }),
    connectionLimit: 4 * MAX_CONNECTIONS,
    async countConnections(name) {
      const sql =
        'SELECT command AS doing FROM information_schema.processlist WHERE db IN (?) AND id NOT IN (?)'
      const databases = name === undefined ? ['', ...names] : [name]
      for (;;) {
        const found = await rowsOf(root, sql, [databases, [0, ...lookers]])
        // The server closes the socket of who quits before it forgets the connection: only then it can be counted.
        if (!found.some(({ doing }) => ['Quit', 'Busy'].includes(doing))) return found.length
      }
    },
    hostileSql: (victim, own) => [
      [`SELECT * FROM notes UNION SELECT * FROM \`${victim}\`.notes`],
      [`CREATE TABLE taken AS SELECT * FROM \`${victim}\`.notes`, 'SELECT * FROM taken'],
      [`CREATE TABLE copied LIKE \`${victim}\`.notes`],
      [`CREATE TRIGGER spy AFTER INSERT ON \`${victim}\`.notes FOR EACH ROW SET @x = NEW.body`],
      [`CREATE PROCEDURE reach() SELECT * FROM \`${victim}\`.notes`, 'CALL reach()'],
      [
        `CREATE DEFINER = root@localhost VIEW loot AS SELECT * FROM \`${victim}\`.notes`,
        'SELECT * FROM loot',
      ],
      [`PREPARE s FROM 'USE \`${victim}\`'`, 'EXECUTE s', 'SELECT * FROM notes'],
      [`LOCK TABLES \`${victim}\`.notes WRITE`],
      [`TRUNCATE \`${victim}\`.notes`],
      [`HANDLER \`${victim}\`.notes OPEN`],
      [`SELECT * FROM notes INTO OUTFILE '${randomName('/tmp/tenantry-outfile-')}'`],
      [`SELECT LOAD_FILE('/etc/passwd') AS body`],
      [`LOAD DATA INFILE '/etc/passwd' INTO TABLE notes (body)`],
      [`LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE notes (body)`],
      [`SELECT * FROM mysql.user`],
      [`UPDATE mysql.db SET Db = '%'`],
      [`CREATE USER intruder_${own.length}`],
      [`ALTER EVENT \`${victim}\`.e DISABLE`],
      [`SHOW CREATE TABLE \`${victim}\`.notes`],
      [`SET GLOBAL sql_mode = ''`],
      [`KILL CONNECTION 1`],
      [`RENAME TABLE notes TO \`${victim}\`.notes2`],
      [`/*!50000 USE \`${victim}\` */`, 'SELECT * FROM notes'],
    ],
    oracle: {
      async listDatabases(prefix) {
        const rows = await rowsOf(root, 'SHOW DATABASES')
        return rows.map((row) => String(row.Database)).filter((name) => name.startsWith(prefix))
      },
      query: inside,
      async execute(name, sql) {
        await inside(name, sql)
      },
    },
    async cleanup() {
      await root.query(`DROP DATABASE IF EXISTS \`${registry}\``)
      await root.end()
    },
  }
}
