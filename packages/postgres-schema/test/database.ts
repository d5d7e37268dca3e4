import { Client, escapeIdentifier } from 'pg'
import { findServer, type TestServer } from './server.ts'

/** A database of the test's own, with SQL over the bare driver. `drop` removes it with its roles. */
export interface TestDatabase {
  readonly url: string
  /** The secret from which the provider derives the passwords of the database's roles. */
  readonly secret: string
  /** Runs SQL as the administrator. */
  sql(text: string, values?: unknown[]): Promise<Record<string, any>[]>
  drop(): Promise<void>
}

let counter = 0

export async function createDatabase(server?: TestServer): Promise<TestDatabase> {
  const { url, stop } = server ?? (await findServer())
  const name = `tenantry_test_${process.pid}_${counter++}_${Math.random().toString(36).slice(2, 8)}`
  const creator = await connectClient(url)
  await creator.query(`CREATE DATABASE ${name}`)
  await creator.end()
  const own = new URL(url)
  own.pathname = `/${name}`
  const client = await connectClient(own.href)
  const { rows } = await client.query('SELECT oid FROM pg_database WHERE datname = current_database()')
  const { oid } = rows[0]
  return {
    url: own.href,
    secret: 'a secret for tests, of more than 32 characters',
    async sql(text, values) {
      const result: unknown = await client.query(text, values)
      const last = Array.isArray(result) ? result.at(-1) : result
      return last.rows
    },
    async drop() {
      await client.end()
      // The server may have been restarted meanwhile.
      const admin = await connectClient(url)
      // The roles are read before the database is dropped: their descriptions name it, and they own nothing outside.
      const owned = await admin.query(
        "SELECT rolname FROM pg_roles r LEFT JOIN pg_shdescription d ON d.objoid = r.oid AND d.classoid = 'pg_authid'::regclass " +
          `WHERE rolname = 'tenantry_${oid}' OR d.description LIKE 'tenantry ${oid} %'`,
      )
      await admin.query(`DROP DATABASE ${name} WITH (FORCE)`)
      // Each drop takes a lock, so one message drops a part of the roles.
      for (let at = 0; at < owned.rows.length; at += 500) {
        const drops = owned.rows
          .slice(at, at + 500)
          .map(({ rolname }) => `DROP ROLE IF EXISTS ${escapeIdentifier(rolname)}`)
        await admin.query(drops.join(';'))
      }
      await admin.end()
      if (server === undefined) await stop()
    },
  }
}

export async function connectClient(url: string): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: 'the test', pipeline: true })
  client.on('error', () => {})
  await client.connect()
  return client
}
