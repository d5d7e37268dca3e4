import { existsSync, readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { CompiledQuery, type Kysely } from 'kysely'
import { TenancyError } from '../../src/errors.ts'
import { createMemoryProvider, openSqlite } from '../../src/memory/index.ts'
import type { Locator, Row, Statement, TenantProvider } from '../../src/types/provider.ts'

/** SQLite files in a folder that several processes share: a service to test real processes with. */
export function createFileProvider(folder: string): TenantProvider<Kysely<any>> {
  const base = createMemoryProvider()
  const opened = new Map<string, Kysely<any>>()
  const getFile = ({ name }: Locator): string => path.join(folder, `${name}.db`)
  const rows = async (client: Kysely<any>, { sql, params = [] }: Statement): Promise<Row[]> =>
    (await client.executeQuery<Row>(CompiledQuery.raw(sql, [...params]))).rows

  return {
    ...base,
    name: 'files',
    async create(name) {
      const created = !existsSync(getFile({ name }))
      await openSqlite(getFile({ name })).destroy()
      return { locator: { name }, created }
    },
    async find(name) {
      return existsSync(getFile({ name })) ? { name } : undefined
    },
    async drop(locator) {
      await opened.get(getFile(locator))?.destroy()
      opened.delete(getFile(locator))
      for (const end of ['', '-wal', '-shm']) rmSync(`${getFile(locator)}${end}`, { force: true })
    },
    async setAccess() {},
    async list({ prefix }) {
      const files = readdirSync(folder).filter((file) => file.startsWith(prefix) && file.endsWith('.db'))
      return {
        databases: files.map((file) => ({ name: file.slice(0, -3), locator: { name: file.slice(0, -3) } })),
      }
    },
    async connect({ locator }) {
      const file = getFile(locator)
      if (!existsSync(file)) throw new TenancyError('tenant_not_found', 'There is no such file')
      const client = opened.get(file) ?? openSqlite(file)
      opened.set(file, client)
      return client
    },
    query: rows,
    async close() {
      for (const client of opened.values()) await client.destroy()
      opened.clear()
    },
  }
}
