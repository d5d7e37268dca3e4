import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { type Client, createClient } from '@libsql/client/sqlite3'
import type { Harness } from '@tenantry/conformance'
import { createLibsqlFileProvider } from '../src/file/index.ts'

const MAX_CONNECTIONS = 20

/** Files under a directory of its own, looked into with the bare driver. */
export function createFileHarness(): Harness<Client> {
  const root = mkdtempSync(path.join(tmpdir(), 'tenantry-files-'))
  const another = () => createLibsqlFileProvider({ root, maxConnections: MAX_CONNECTIONS })

  async function query(name: string, sql: string) {
    const folder = path.join(root, name)
    const file = readdirSync(folder).find((entry) => entry.endsWith('.db')) ?? 'no database'
    const client = createClient({ url: `file:${path.join(folder, file)}`, timeout: 5_000 })
    const { rows } = await client.execute(sql)
    client.close()
    return rows.map((row) => ({ ...row }))
  }

  return {
    provider: another(),
    another,
    connectionLimit: MAX_CONNECTIONS,
    oracle: {
      databases: async (prefix) => readdirSync(root).filter((entry) => entry.startsWith(prefix)),
      query,
      async execute(name, sql) {
        await query(name, sql)
      },
    },
    cleanup: async () => rmSync(root, { recursive: true, force: true }),
  }
}
