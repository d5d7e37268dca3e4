import { connect } from 'node:net'
import { type CrashHarness, interceptSocket } from '@tenantry/conformance/crash'
import { Kysely, MysqlDialect } from 'kysely'
import { createPool } from 'mysql2'
import { createMysqlProvider } from '../src/index.ts'
import { byStatement } from './by-statement.ts'
import { openRoot, readRows } from './harness.ts'
import { startServer } from './server.ts'

const SECRET = 'a secret of the crashing tests, which is long enough'
const CATALOG = 'catalog_of_crashes'

/** Users of tenants without an entry in the registry. */
const STRAYS =
  "SELECT User FROM mysql.user WHERE User LIKE 'tenantry\\_%' AND CONVERT(SUBSTRING(User, 10) USING ascii) " +
  'NOT IN (SELECT id FROM tenantry.tenantry_databases)'

/** Starts a server without durability across power failures, with room for the connections of hundreds of processes. */
export const setup: CrashHarness['setup'] = async () => {
  const { url, stop } = await startServer(['--max-connections=2000'])
  const root = openRoot(url)
  await root.query(`CREATE DATABASE ${CATALOG}`)
  async function queryAsRoot(name: string, sql: string) {
    const lease = await root.getConnection()
    try {
      await lease.query(`USE \`${name}\``)
      const [rows] = await lease.query(sql)
      return Array.isArray(rows) ? rows.map((row) => ({ ...row })) : []
    } finally {
      lease.destroy()
    }
  }
  return {
    config: { url },
    oracle: {
      async listDatabases(prefix) {
        const rows = await readRows(root, 'SHOW DATABASES LIKE ?', [`${prefix.replaceAll('_', '\\_')}%`])
        return rows.map((row) => String(Object.values(row)[0]))
      },
      query: queryAsRoot,
      async execute(name, sql) {
        await queryAsRoot(name, sql)
      },
    },
    async cleanup() {
      try {
        const strays = await readRows(root, STRAYS)
        if (strays.length > 0) throw new Error(`Users without a database: ${JSON.stringify(strays)}`)
      } finally {
        await root.end()
        await stop()
      }
    },
  }
}

export const createProvider: CrashHarness['createProvider'] = ({ url }, around) => {
  const { hostname: host, port } = new URL(String(url))
  return createMysqlProvider({
    connection: {
      host,
      port: Number(port),
      user: 'root',
      stream: () =>
        byStatement(interceptSocket(connect(Number(port), host).setNoDelay(true), around, readChange)),
    },
    secret: SECRET,
    // A process has a provider for each of its tenants.
    maxConnections: 4,
    idleTimeout: 200,
  })
}

/** The statement of a message that changes data or accounts. Each statement of a batch is permanent. */
function readChange(message: Buffer): string | undefined {
  const QUERY = 3
  if (message[4] !== QUERY) return undefined
  const change = /^[^A-Z]*(?:BEGIN; )?((?:CREATE|ALTER|DROP|GRANT|INSERT|UPDATE|DELETE|KILL)\b \S+)/.exec(
    message.toString('latin1', 5),
  )
  return change === null ? undefined : `the message ${change[1]}`
}

export const openCatalog: CrashHarness['openCatalog'] = ({ url }) => {
  const pool = createPool({
    uri: String(url),
    database: CATALOG,
    connectionLimit: 1,
    idleTimeout: 200,
    maxIdle: 0,
  })
  return { db: new Kysely<any>({ dialect: new MysqlDialect({ pool }) }), dialect: 'mysql' }
}
