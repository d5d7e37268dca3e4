import { Socket } from 'node:net'
import { type CrashHarness, interceptSocket } from '@tenantry/conformance/crash'
import { Kysely, PostgresDialect } from 'kysely'
import { type ClientConfig, Pool } from 'pg'
import { createPostgresSchemaProvider, type Isolation } from '../src/index.ts'
import { createDatabase } from './database.ts'
import { createHarness } from './harness.ts'
import { startServer } from './server.ts'

/**
 * Schemas in one database, with the catalog beside them in a schema of its own. The test starts a server of its
 * own: without protection against a power failure, and with room for the connections of all these processes.
 */
export function crashHarness(isolation: Isolation): CrashHarness {
  return {
    async setup() {
      const server = await startServer(['max_connections=300', 'full_page_writes=off'])
      const database = await createDatabase(server)
      await database.sql('CREATE SCHEMA catalog')
      const { url, secret, drop } = database
      const { oracle } = createHarness(database, { isolation })
      return {
        config: { url, secret },
        oracle,
        async cleanup() {
          await drop()
          await server.stop()
        },
      }
    },
    createProvider: ({ url, secret }, around) =>
      createPostgresSchemaProvider({
        connection: {
          ...parseConnection(new URL(String(url))),
          stream: () => interceptSocket(new Socket(), around, describeChange),
        },
        secret: String(secret),
        isolation,
        // A process has one such provider for each of its tenants.
        maxConnections: 3,
        maxConnectionsPerTenant: 2,
        idleTimeout: 100,
      }),
    openCatalog({ url }) {
      const pool = new Pool({
        connectionString: String(url),
        options: '-c search_path=catalog',
        max: 1,
        idleTimeoutMillis: 100,
      })
      // The next query reports a connection that the server has ended.
      pool.on('error', () => {})
      return { db: new Kysely<any>({ dialect: new PostgresDialect({ pool }) }), dialect: 'postgres' }
    },
  }
}

function parseConnection({ hostname, port, username, password, pathname }: URL): ClientConfig {
  const [user, secret, database] = [username, password, pathname.slice(1)].map(decodeURIComponent)
  return { host: hostname, port: Number(port), ...{ user, password: secret, database } }
}

/** The administrator's messages that change something: several statements each. (A tenant's statements are points already.) */
function describeChange(message: Buffer): string | undefined {
  const text = message.toString('latin1', 5)
  if (message[0] !== 'Q'.charCodeAt(0) || !/;|pg_terminate_backend/.test(text)) return undefined
  return `the message ${/[A-Z]+ (?:SCHEMA|ROLE|OWNED)|pg_terminate_backend/.exec(text)?.[0] ?? text}`
}
