import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Client, createClient } from '@libsql/client/sqlite3'
import type { Harness } from '@tenantry/conformance'
import { createLibsqlFileProvider } from '../src/file/index.ts'
import { openClients } from './counted-driver.ts'
import { hostileSql } from './hostile-sql.ts'

const MAX_CONNECTIONS = 20

/** Files under a directory of its own, looked into with the bare driver. */
export function createFileHarness(): Harness<Client> {
  const root = mkdtempSync(path.join(tmpdir(), 'tenantry-files-'))
  const createProvider = () => createLibsqlFileProvider({ root, maxConnections: MAX_CONNECTIONS })

  function findFile(name: string): string {
    const files = readdirSync(path.join(root, name)).filter((entry) => entry.endsWith('.db'))
    return path.join(root, name, files[0] ?? 'no database')
  }

  async function query(name: string, sql: string) {
    const client = createClient({ url: `file:${findFile(name)}`, timeout: 5_000 })
    const { rows } = await client.execute(sql)
    client.close()
    return rows.map((row) => ({ ...row }))
  }

  return {
    provider: createProvider(),
    createProvider,
    connectionLimit: MAX_CONNECTIONS,
    async countConnections(name = '') {
      return [...openClients].filter(({ url }) => url.includes(path.join(root, name))).length
    },
    hostileSql: (victim) => hostileSql(findFile(victim), path.join(root, 'free.db')).map((sql) => [sql]),
    oracle: {
      listDatabases: async (prefix) => readdirSync(root).filter((entry) => entry.startsWith(prefix)),
      query,
      async execute(name, sql) {
        await query(name, sql)
      },
    },
    cleanup: async () => rmSync(root, { recursive: true, force: true }),
  }
}
