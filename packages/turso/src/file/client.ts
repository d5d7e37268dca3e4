import type { Client, Transaction, TransactionMode } from '@libsql/client/sqlite3'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import { notifyClosed, onClose } from '../libsql/close-listeners.ts'
import { isBusy } from '../libsql/sql-errors.ts'
import { toPlainStatement } from '../libsql/statements.ts'
import type { BusyRetry } from './busy-retry.ts'
import type { FileConnection } from './connection.ts'
import { leavesConnectionClean, mapError, throwClientError } from './errors.ts'
import { createFileTransaction } from './transaction.ts'

export interface FileClientOptions {
  /** A connection to the tenant's file as it is now. */
  readonly lease: () => Promise<Lease<FileConnection>>
  /** Throws once the file is closed. Called before each statement of a transaction, which may have begun long ago. */
  readonly checkOpen: () => void
  readonly busyRetry: BusyRetry
  /** Milliseconds without a statement after which a transaction is rolled back. */
  readonly transactionIdleTimeout: number
  /** Called when a handler closes the client. */
  readonly onDatabaseGone?: (() => void) | undefined
}

/** Acquires the write lock and releases it. A script: a single statement that fails for a lock would stay prepared. */
const TOUCH_LOCK = 'BEGIN IMMEDIATE; ROLLBACK'

/**
 * A libSQL `Client` without a connection of its own: each call leases one and returns it, a transaction keeps one until
 * it ends. Closing the client ends only the client itself.
 */
export function createFileClient(options: FileClientOptions): Client {
  const { lease, checkOpen, busyRetry, transactionIdleTimeout } = options
  let closed = false

  /**
   * Checks the SQL in `texts` and runs `work` on a connection, which stays leased. When another connection holds the
   * lock, this one is destroyed: its failed statement would keep an old snapshot of the database until it is garbage
   * collected, and with that snapshot it would never get the lock. `work` runs again when the lock is free.
   */
  async function attempt<Result>(
    texts: readonly string[],
    work: (client: Client) => Promise<Result>,
  ): Promise<{ leased: Lease<FileConnection>; result: Result }> {
    if (closed) throw new TenancyError('closed', 'The client is closed')
    const deadline = busyRetry.deadline()
    for (let contended = false; ; contended = true) {
      const leased = await lease()
      try {
        const { connection } = leased
        for (const text of texts) if (connection.checkSql(text).taints) connection.tainted = true
        if (contended) await busyRetry.run(() => connection.client.executeMultiple(TOUCH_LOCK), deadline)
        return { leased, result: await work(connection.client) }
      } catch (error) {
        if (leavesConnectionClean(error)) leased.release()
        else leased.destroy()
        if (!isBusy(error) || busyRetry.isOver(deadline)) throw error
      }
    }
  }

  async function run<Result>(
    texts: readonly string[],
    work: (client: Client) => Promise<Result>,
  ): Promise<Result> {
    try {
      const { leased, result } = await attempt(texts, work)
      leased.release()
      return result
    } catch (error) {
      return throwClientError(error)
    }
  }

  const client: Pick<Client, keyof Client> = {
    async execute(statement: Parameters<Client['execute']>[0], args?: any) {
      const plain = toPlainStatement(statement, args)
      return run([plain.sql], (inner) => inner.execute(plain))
    },
    async batch(statements, mode) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      return run(sqlTexts(plain), (inner) => inner.batch(plain, mode))
    },
    async migrate(statements) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      // `migrate` sets this pragma around the statements, so the connection is not used again.
      return run(['PRAGMA foreign_keys = OFF', ...sqlTexts(plain)], (inner) => inner.migrate(plain))
    },
    async executeMultiple(sql) {
      const { sql: text } = toPlainStatement(sql)
      return run([text], async (inner) => {
        await inner.executeMultiple(TOUCH_LOCK)
        // A script is not repeated: a lock that it meets halfway is an error.
        await inner.executeMultiple(text).catch((error: unknown) => {
          throw isBusy(error) ? mapError(error) : error
        })
      })
    },
    async transaction(mode: TransactionMode = 'write'): Promise<Transaction> {
      const { leased, result: transaction } = await attempt([], (inner) => inner.transaction(mode)).catch(
        throwClientError,
      )
      return createFileTransaction({ leased, transaction, checkOpen, idleTimeout: transactionIdleTimeout })
    },
    async sync() {
      throw new TenancyError('not_supported', 'sync() is not supported: a database file has no remote copy')
    },
    close() {
      closed = true
      notifyClosed(client)
    },
    reconnect() {
      closed = false
    },
    get closed() {
      return closed
    },
    protocol: 'file',
  }
  return onClose(client, options.onDatabaseGone)
}

function sqlTexts(statements: readonly { readonly sql: string }[]): string[] {
  return statements.map(({ sql }) => sql)
}
