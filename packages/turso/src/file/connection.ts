import { type Client, createClient, type Transaction } from '@libsql/client/sqlite3'
import { type ConnectTarget, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { IntMode } from '../libsql/int-mode.ts'
import { toBound, toCoreRows } from '../libsql/values.ts'
import { listForbiddenFunctions } from './allowed-functions.ts'
import type { DatabaseFiles } from './database-files.ts'
import type { DatabaseFile } from './database-paths.ts'
import { createSqlGuard, type SqlCheck } from './sql-guard.ts'

/** What a connection is opened for. */
export interface FileTarget {
  readonly file: DatabaseFile
  readonly verify: ConnectTarget['verify']
}

/** One physical connection to one file, used by one lease at a time. */
export interface FileConnection {
  readonly client: Client
  /** The fingerprint of the open file. Another file may be at its path by now. */
  readonly fingerprint: string
  /** @throws `statement_refused` */
  readonly checkSql: SqlCheck
  /** Whether the next user would notice what this one did; then the connection is not used again. */
  tainted: boolean
  /** The transaction that has begun and not ended. */
  transaction: Transaction | undefined
}

/**
 * Opens an existing file and verifies its identity stamp.
 *
 * @throws `tenant_not_found` when it is gone
 */
export async function openConnection(
  files: DatabaseFiles,
  { file, verify }: FileTarget,
  intMode: IntMode,
): Promise<FileConnection> {
  const checkSql = await getSqlGuard()
  const fingerprint = files.fingerprint(file)
  // A native busy timeout would block this thread, in which the connection that holds the lock must run to release it.
  const client = createClient({ url: toDriverUrl(files.path(file)), concurrency: 1, timeout: 0, intMode })
  try {
    // Before the schema is checked, no statement runs that could use a name from the file.
    await client.executeMultiple('PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON')
    await checkSchema(client, checkSql)
    await verify(async ({ sql, params = [] }) =>
      toCoreRows(await client.execute({ sql, args: params.map(toBound) })),
    )
    return { client, fingerprint, checkSql, tainted: false, transaction: undefined }
  } catch (error) {
    client.close()
    throw error
  }
}

/**
 * Closes a connection, after rolling back its transaction: SQLite keeps a closed connection, with its locks, until its
 * last statement is finalized, which the driver leaves to the garbage collector.
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

let sharedGuard: SqlCheck | undefined

/** The engine has the same functions for every file, so it is asked once. */
async function getSqlGuard(): Promise<SqlCheck> {
  sharedGuard ??= createSqlGuard(await listForbiddenFunctions())
  return sharedGuard
}

/**
 * Checks the SQL in a file's schema (views, triggers, virtual tables) as if it were sent now: a file from elsewhere may
 * contain what the guard would refuse. The file may also try to mislead this check: an index of `sqlite_master` can
 * differ from the table, hence NOT INDEXED, and SQLite runs SQL that is stored as a blob, hence the type check.
 *
 * @throws `statement_refused`
 */
async function checkSchema(client: Client, checkSql: SqlCheck): Promise<void> {
  const { rows } = await client.execute('SELECT sql FROM main.sqlite_master NOT INDEXED')
  for (const { sql } of rows) {
    if (sql === null) continue
    if (typeof sql !== 'string') {
      throw new TenancyError(
        'statement_refused',
        "The file's schema contains an entry that is not text, so it cannot be checked",
      )
    }
    checkSql(sql)
  }
}

/**
 * The driver's URL for a path. It is decoded twice: by the client, as the path of a `file:` URL, and by SQLite, whose
 * own URL has the parameter `mode=rw`: it opens a file and never creates one.
 *
 * @see https://www.sqlite.org/uri.html
 */
function toDriverUrl(path: string): string {
  const escaped = path.split('/').map(encodeURIComponent).join('/')
  return `file:${encodeURIComponent(`file:${escaped}?mode=rw`)}`
}
