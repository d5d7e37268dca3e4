import type { Harness } from '@tenantry/conformance'
import { createPool, type Pool, type RowDataPacket } from 'mysql2/promise'
import { inject } from 'vitest'
import { createMysqlProvider, type MysqlProviderOptions } from '../src/index.ts'

/** The secret from which the tests derive the passwords of users. */
export const SECRET = 'a secret of the tests, long enough to be one'

const MAX_CONNECTIONS = 20

export function randomName(prefix: string): string {
  return prefix + Math.random().toString(36).slice(2, 10)
}

/** A pool of the driver as root, which shares no code with the provider. */
export function openRoot(url: string = inject('mysqlUrl')): Pool {
  return createPool({ uri: url, connectionLimit: 4, supportBigNumbers: true, bigNumberStrings: true })
}

/** All rows of a statement. */
export async function readRows(pool: Pool, sql: string, values: unknown[] = []): Promise<RowDataPacket[]> {
  const [rows] = await pool.query<RowDataPacket[]>(sql, values)
  return Array.isArray(rows) ? rows : []
}

/** A harness for the databases of one registry, with an oracle that reads them as root. */
export function createHarness(
  isolation: 'user' | 'shared',
  more: Partial<MysqlProviderOptions> = {},
): Harness<Pool> {
  const connection = inject('mysqlUrl')
  const registry = randomName('tenantry_test_')
  const root = openRoot(connection)
  /** The names of databases that these providers created: other tests use the server concurrently. */
  const names = new Set<string>()
  /** The ids of the oracle's connections, which are not counted. */
  const oracleIds = new Set<number>()
  const createProvider = () => {
    const provider = createMysqlProvider({
      connection, registry, isolation, maxConnections: MAX_CONNECTIONS,
      // The kit has dozens of providers concurrently: together they must not exhaust the connections of the server.
      idleTimeout: 200,
      ...(isolation === 'user' && { secret: SECRET }), ...more,
    }) // biome-ignore format: one object
    return {
      ...provider,
      create: (...parameters: Parameters<typeof provider.create>) => {
        names.add(parameters[0])
        return provider.create(...parameters)
      },
    }
  }

  async function queryAsRoot(name: string, sql: string) {
    const lease = await root.getConnection()
    oracleIds.add(lease.threadId)
    try {
      await lease.query(`USE \`${name}\``)
      const [rows] = await lease.query<RowDataPacket[]>(sql)
      return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : []
    } finally {
      lease.destroy()
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
        const connections = await readRows(root, sql, [databases, [0, ...oracleIds]])
        // After a quit the server closes the socket first, and still lists the connection for a moment.
        if (!connections.some(({ doing }) => ['Quit', 'Busy'].includes(doing))) return connections.length
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
        const rows = await readRows(root, 'SHOW DATABASES')
        return rows.map((row) => String(row.Database)).filter((name) => name.startsWith(prefix))
      },
      query: queryAsRoot,
      async execute(name, sql) {
        await queryAsRoot(name, sql)
      },
    },
    async cleanup() {
      await root.query(`DROP DATABASE IF EXISTS \`${registry}\``)
      await root.end()
    },
  }
}
