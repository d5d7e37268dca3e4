import type { Client, Transaction, TransactionMode } from '@libsql/client/sqlite3'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import { notifyClosed, onClose } from '../libsql/close-listeners.ts'
import { isBusy } from '../libsql/sql-errors.ts'
import { toPlainStatement } from '../libsql/statements.ts'
import type { Patience } from './busy-retry.ts'
import type { FileConnection } from './connection.ts'
import { leavesNoDoubt, mapError, surface } from './errors.ts'
import { createFileTransaction } from './transaction.ts'

/** What the client of one tenant works with. */
export interface FileClientOptions {
  /** A connection to the tenant's file as it is now. */
  readonly lease: () => Promise<Lease<FileConnection>>
  /** Asked before each statement of a transaction, which may have begun long ago; throws once the file is closed. */
  readonly checkOpen: () => void
  readonly patience: Patience
  /** Milliseconds after which a transaction nobody uses is rolled back. */
  readonly transactionIdleTimeout: number
  /** Told when whoever got the client closes it. */
  readonly onDatabaseGone?: (() => void) | undefined
}

/** Takes the write lock and gives it back; a script, because a single statement that fails for a lock stays behind. */
const TOUCH_LOCK = 'BEGIN IMMEDIATE; ROLLBACK'

/**
 * A libSQL `Client` that holds no connection: each call leases one and gives it back, a transaction keeps one until
 * it ends. Closing it ends nothing but itself.
 */
export function createFileClient(options: FileClientOptions): Client {
  const { lease, checkOpen, patience, transactionIdleTimeout } = options
  let closed = false

  /**
   * Runs `work` on a connection, which stays leased, once all of `texts` may run there. When another holds the lock
   * that it needs, the connection is destroyed: its failed statement would keep its old view of the database until
   * it is collected, and be refused the lock for that for ever. `work` is run again when the lock is free.
   */
  async function attempt<Result>(
    texts: readonly string[],
    work: (client: Client) => Promise<Result>,
  ): Promise<{ leased: Lease<FileConnection>; result: Result }> {
    if (closed) throw new TenancyError('closed', 'The client was closed')
    const deadline = patience.deadline()
    for (let contended = false; ; contended = true) {
      const leased = await lease()
      try {
        const { connection } = leased
        for (const text of texts) if (connection.guard(text).taints) connection.tainted = true
        if (contended) await patience.wait(() => connection.client.executeMultiple(TOUCH_LOCK), deadline)
        return { leased, result: await work(connection.client) }
      } catch (error) {
        if (leavesNoDoubt(error)) leased.release()
        else leased.destroy()
        if (!isBusy(error) || patience.isOver(deadline)) throw error
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
      return surface(error)
    }
  }

  const client: Pick<Client, keyof Client> = {
    async execute(statement: Parameters<Client['execute']>[0], args?: any) {
      const plain = toPlainStatement(statement, args)
      return run([plain.sql], (inner) => inner.execute(plain))
    },
    async batch(statements, mode) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      return run(textsOf(plain), (inner) => inner.batch(plain, mode))
    },
    async migrate(statements) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      // As `migrate` does around the statements, so the connection is closed after it.
      return run(['PRAGMA foreign_keys = OFF', ...textsOf(plain)], (inner) => inner.migrate(plain))
    },
    async executeMultiple(sql) {
      const { sql: text } = toPlainStatement(sql)
      return run([text], async (inner) => {
        await inner.executeMultiple(TOUCH_LOCK)
        // Met halfway, the lock would come too late: a script is not repeated.
        await inner.executeMultiple(text).catch((error: unknown) => {
          throw isBusy(error) ? mapError(error) : error
        })
      })
    },
    async transaction(mode: TransactionMode = 'write'): Promise<Transaction> {
      const { leased, result: transaction } = await attempt([], (inner) => inner.transaction(mode)).catch(
        surface,
      )
      return createFileTransaction({ leased, transaction, checkOpen, idleTimeout: transactionIdleTimeout })
    },
    async sync() {
      throw new TenancyError('not_supported', 'A tenant’s file has nothing to be synchronised with')
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

function textsOf(statements: readonly { readonly sql: string }[]): string[] {
  return statements.map(({ sql }) => sql)
}
