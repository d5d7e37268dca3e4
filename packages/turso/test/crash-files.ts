import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createClient } from '@libsql/client/sqlite3'
import type { CrashHarness } from '@tenantry/conformance/crash'
import { createLibsqlFileProvider } from '../src/file/index.ts'

export const setup: CrashHarness['setup'] = async () => {
  const root = mkdtempSync(path.join(tmpdir(), 'tenantry-crash-files-'))
  const query = async (name: string, sql: string) => {
    const file = readdirSync(path.join(root, name)).find((entry) => entry.endsWith('.db')) ?? 'none'
    const client = createClient({ url: `file:${path.join(root, name, file)}`, timeout: 5_000 })
    const { rows } = await client.execute(sql)
    client.close()
    return rows.map((row) => ({ ...row }))
  }
  return {
    config: { root },
    oracle: {
      listDatabases: async (prefix) =>
        readdirSync(root).filter(
          (entry) =>
            entry.startsWith(prefix) &&
            readdirSync(path.join(root, entry)).some((file) => file.endsWith('.db')),
        ),
      query,
      async execute(name, sql) {
        await query(name, sql)
      },
    },
    cleanup: async () => rmSync(root, { recursive: true, force: true }),
  }
}

export const createProvider: CrashHarness['createProvider'] = ({ root }) =>
  createLibsqlFileProvider({ root: String(root), maxConnections: 20 })
