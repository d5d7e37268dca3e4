import type { Run } from '../connections/server.ts'
import { isNumber } from '../errors.ts'
import { quoteName } from '../sql-text.ts'
import { asAdmin } from './privileges.ts'

/** `dropping` from the first step of a deletion to its last. */
export type Access = 'open' | 'closed' | 'dropping'

/** The registry's row of one database. */
export interface Entry {
  readonly id: string
  readonly access: Access
}

/**
 * The tenant databases of a server, with the id and the state of each. MySQL has no comments on databases, and user
 * names are too short for database names, so a table keeps them. A row is written before the first step of creation,
 * and removed after the last step of deletion.
 */
export interface Registry {
  /** The quoted name of the table. */
  readonly table: string
  /** Creates the table where it is missing. */
  prepare(run: Run): Promise<void>
  /** The row of that exact name, and whether a database of that name exists. */
  read(run: Run, database: string): Promise<{ entry: Entry | undefined; exists: boolean }>
  write(run: Run, database: string, entry: Entry): Promise<void>
  remove(run: Run, database: string): Promise<void>
}

/** No such database, no such table. */
const MISSING = [1049, 1146]

export function createRegistry(name: string, admin: string): Registry {
  const table = `${quoteName(name)}.tenantry_databases`
  let prepared = false

  return {
    table,
    async prepare(run) {
      if (prepared) return
      const [found] = await run(
        'SELECT 1 AS found FROM information_schema.tables WHERE table_schema = ? AND table_name = ?',
        [name, 'tenantry_databases'],
      )
      if (found === undefined) {
        await asAdmin('CREATE DATABASE', admin, run(`CREATE DATABASE IF NOT EXISTS ${quoteName(name)}`))
        const key = 'CHARACTER SET ascii COLLATE ascii_bin NOT NULL'
        const create =
          `CREATE TABLE IF NOT EXISTS ${table} (name VARCHAR(64) ${key} PRIMARY KEY, id CHAR(23) ${key} UNIQUE, ` +
          `access VARCHAR(8) ${key}) ENGINE = InnoDB`
        await asAdmin('the registry', admin, run(create))
      }
      prepared = true
    },
    async read(run, database) {
      const exists = '(SELECT count(*) FROM information_schema.schemata WHERE schema_name = ?) AS present'
      try {
        const query =
          `SELECT ${exists}, r.id, r.access FROM (SELECT 1 AS one) o ` +
          `LEFT JOIN ${table} r ON r.name = CONVERT(? USING ascii)`
        const [row] = await asAdmin('the registry', admin, run(query, [database, database]))
        const entry = row?.id ? { id: String(row.id), access: row.access as Access } : undefined
        return { entry, exists: Number(row?.present) > 0 }
      } catch (error) {
        if (!isNumber(error, ...MISSING)) throw error
        const [row] = await run(`SELECT ${exists}`, [database])
        return { entry: undefined, exists: Number(row?.present) > 0 }
      }
    },
    async write(run, database, { id, access }) {
      const upsert = `INSERT INTO ${table} (name, id, access) VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE id = ?, access = ?`
      await asAdmin('the registry', admin, run(upsert, [database, id, access, id, access]))
    },
    async remove(run, database) {
      await asAdmin('the registry', admin, run(`DELETE FROM ${table} WHERE name = ?`, [database]))
    },
  }
}
