import { randomBytes } from 'node:crypto'
import { named, newDatabase, removeDatabase } from './api-databases.ts'
import type { Permission } from './operations.ts'
import type { Records } from './records.ts'
import type { Storage } from './storage.ts'
import type { WireCell } from './worker/wire.ts'

/** A value of a row; bytes are a list of numbers. */
export type D1Value = WireCell

/** A database as the oracle sees it. */
export interface OracleD1Database {
  readonly uuid: string
  readonly name: string
  readonly jurisdiction: string | undefined
  readonly region: string
  readonly replication: 'auto' | 'disabled'
}

/** Ways around the API: no fault touches them, the request log does not show them, no rate is counted. */
export interface CloudflareOracle {
  /** Every database there is, sorted by name. */
  databases(): OracleD1Database[]
  /** Whether the engine has the database of this name or uuid, regardless of the API's answer. */
  exists(nameOrUuid: string): Promise<boolean>
  /**
   * Runs one statement in a database.
   *
   * @throws Error in SQLite's words, and for a database that is not there
   */
  execute(name: string, sql: string, params?: readonly D1Value[]): Promise<Record<string, D1Value>[]>
  /** Creates a database: an orphan, as a crash would leave it. @throws Error when the name is taken */
  create(name: string): Promise<OracleD1Database>
  /** Destroys a database without the API. Destroying an absent one succeeds. */
  destroy(name: string): Promise<void>
  /** The scripts of all namespaces, as `namespace/name`, sorted, and what each is bound to. */
  scripts(): { readonly script: string; readonly databases: readonly string[] }[]
  /** Creates an API token with exactly these permissions. */
  token(permissions: readonly Permission[]): string
}

/** The oracle of one emulator. */
export function createOracle(records: Records, storage: Storage, now: () => number): CloudflareOracle {
  return {
    databases: () =>
      [...records.databases.values()]
        .map(({ createdAt: _, ...record }) => record)
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
    exists: async (nameOrUuid) => await storage.exists(records.find(nameOrUuid)?.uuid ?? nameOrUuid),
    execute: async (name, sql, params = []) => {
      const run = await storage.run(named(records, name).uuid, [{ sql, params }])
      if (!run.ok) throw new Error(run.error)
      const [{ columns, rows } = { columns: [], rows: [] }] = run.results
      return rows.map((row) =>
        Object.fromEntries(columns.map((column, index) => [column, row[index] ?? null])),
      )
    },
    create: (name) =>
      records.change(async () => {
        if (records.find(name) !== undefined) throw new Error(`The emulator has a database ${name}`)
        const { createdAt, ...record } = newDatabase({ name }, now())
        await storage.create(record.uuid)
        records.databases.set(record.uuid, { createdAt, ...record })
        return record
      }),
    destroy: async (name) => {
      const record = records.find(name)
      if (record !== undefined) await removeDatabase({ records, storage }, record)
    },
    scripts: () =>
      [...records.scripts]
        .map(([script, { bindings }]) => ({
          script,
          databases: bindings
            .filter(({ type }) => type === 'd1')
            .map(({ database_id }) => String(database_id)),
        }))
        .sort((a, b) => (a.script < b.script ? -1 : 1)),
    token: (permissions) => {
      const token = randomBytes(30).toString('base64url')
      records.tokens.set(token, permissions)
      return token
    },
  }
}
