import { type Client, createClient, type Transaction } from '@libsql/client/sqlite3'
import { type ConnectTarget, TenancyError } from '@tenantry/multi-tenancy/provider'
import { toBound, toRows } from '../libsql/values.ts'
import { waysOut } from './allowed-functions.ts'
import type { DatabaseFile, Files } from './database-files.ts'
import { createGuard, type Verdict } from './sql-guard.ts'

/** What a lease is asked for. */
export interface FileTarget {
  readonly file: DatabaseFile
  readonly verify: ConnectTarget['verify']
}

/** One physical connection to one file, in the hands of one user at a time. */
export interface FileConnection {
  readonly client: Client
  /** Of the file it has open; another one may be at that path by now. */
  readonly mark: string
  /** @throws `statement_refused` */
  readonly guard: (sql: string) => Verdict
  /** Its next user would notice what the last one did. */
  tainted: boolean
  /** Begun and not ended. */
  transaction: Transaction | undefined
}

/**
 * Opens the file, which must exist, and verifies whose it is.
 *
 * @throws `tenant_not_found` when it is gone
 */
export async function openConnection(files: Files, { file, verify }: FileTarget): Promise<FileConnection> {
  const guard = await engineGuard()
  const mark = files.mark(file)
  // A native busy timeout would sleep in this thread, where whoever holds the lock must run to give it up.
  const client = createClient({ url: urlOf(files.path(file)), concurrency: 1, timeout: 0 })
  try {
    // Until the schema is inspected, nothing is run in which a name of the file's own could stand.
    await client.executeMultiple('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON')
    await inspectSchema(client, guard)
    await verify(async ({ sql, params = [] }) =>
      toRows(await client.execute({ sql, args: params.map(toBound) })),
    )
    return { client, mark, guard, tainted: false, transaction: undefined }
  } catch (error) {
    client.close()
    throw error
  }
}

/**
 * Ends a connection. Its transaction is rolled back first: SQLite keeps a closed connection, with its locks, until the
 * last of its statements is gone, and those wait for the garbage collector.
 *
 * @see https://www.sqlite.org/c3ref/close.html
 */
export function closeConnection({ client, transaction }: FileConnection): void {
  try {
    transaction?.close()
  } finally {
    client.close()
  }
}

let known: ((sql: string) => Verdict) | undefined

/** What the engine brings is the same for every file, so it is asked once. */
async function engineGuard(): Promise<(sql: string) => Verdict> {
  known ??= createGuard(await waysOut())
  return known
}

/**
 * Reads what a file's schema would run (views, triggers, virtual tables) as if it were sent now: a file made
 * elsewhere may hold what the guard never let through. What reads it is the file's too: an index of `sqlite_master`
 * may have other content than the table, and text kept as bytes is SQL to SQLite and an object to us.
 *
 * @throws `statement_refused`
 */
async function inspectSchema(client: Client, guard: (sql: string) => Verdict): Promise<void> {
  const { rows } = await client.execute('SELECT sql FROM main.sqlite_master NOT INDEXED')
  for (const { sql } of rows) {
    if (sql === null) continue
    if (typeof sql !== 'string') {
      throw new TenancyError(
        'statement_refused',
        'The file’s schema is not kept as text, so nobody can read it',
      )
    }
    guard(sql)
  }
}

/**
 * A path as the driver's URL. It is decoded twice: by the client, as the path of a `file:` URL, then by SQLite,
 * whose own URL has the one parameter that matters: `mode=rw` opens and never creates.
 *
 * @see https://www.sqlite.org/uri.html
 */
function urlOf(path: string): string {
  const escaped = path.split('/').map(encodeURIComponent).join('/')
  return `file:${encodeURIComponent(`file:${escaped}?mode=rw`)}`
}
