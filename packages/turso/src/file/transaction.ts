import type { Transaction } from '@libsql/client/sqlite3'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import { toPlainStatement } from '../libsql/statements.ts'
import type { FileConnection } from './connection.ts'
import { leavesConnectionClean, throwClientError } from './errors.ts'

export interface FileTransactionOptions {
  /** Held until the transaction ends. */
  readonly leased: Lease<FileConnection>
  /** Already begun. */
  readonly transaction: Transaction
  /** Throws once the file is closed. */
  readonly checkOpen: () => void
  /** Milliseconds without a statement after which the transaction is rolled back. */
  readonly idleTimeout: number
}

/**
 * A libSQL `Transaction` that returns its connection when it ends: committed, rolled back, closed, or idle for
 * `idleTimeout`. It does not wait for locks: a `write` transaction holds the lock from its beginning, and a `deferred`
 * one that read before another connection wrote can only fail and be started again.
 */
export function createFileTransaction(options: FileTransactionOptions): Transaction {
  const { leased, transaction, checkOpen, idleTimeout } = options
  const { connection } = leased
  connection.transaction = transaction
  let ended = false
  let idleTimer: ReturnType<typeof setTimeout> | undefined
  let timedOut = false
  restartIdleTimer()

  function restartIdleTimer(): void {
    clearTimeout(idleTimer)
    idleTimer = setTimeout(() => {
      timedOut = true
      connection.tainted = true
      end()
    }, idleTimeout)
    idleTimer.unref()
  }

  function end(): void {
    if (ended) return
    ended = true
    clearTimeout(idleTimer)
    if (connection.tainted) leased.destroy()
    else {
      connection.transaction = undefined
      leased.release()
    }
  }

  async function run<Result>(texts: readonly string[], work: () => Promise<Result>): Promise<Result> {
    try {
      if (timedOut) {
        const message = `The transaction was rolled back after ${idleTimeout} ms without a statement (transactionIdleTimeout)`
        throw new TenancyError('timeout', message)
      }
      // The connection belongs to others by now. The driver throws its TRANSACTION_CLOSED.
      if (ended) return await work()
      // Before the lease is used: closing the file ends the lease too, whose error says less.
      checkOpen()
      // Throws when the lease was ended, for example by the deletion of the tenant.
      for (const text of texts) if (leased.connection.checkSql(text).taints) connection.tainted = true
      restartIdleTimer()
      return await work()
    } catch (error) {
      if (!ended && !leavesConnectionClean(error)) connection.tainted = true
      return throwClientError(error)
    }
  }

  return {
    async execute(statement: Parameters<Transaction['execute']>[0], args?: any) {
      const plain = toPlainStatement(statement, args)
      return run([plain.sql], () => transaction.execute(plain))
    },
    async batch(statements) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      const texts = plain.map(({ sql }) => sql)
      return run(texts, () => transaction.batch(plain))
    },
    async executeMultiple(sql) {
      const { sql: text } = toPlainStatement(sql)
      return run([text], () => transaction.executeMultiple(text))
    },
    async commit() {
      let committed = false
      try {
        await run([], () => transaction.commit())
        committed = true
      } finally {
        // After a failed COMMIT (a deferred constraint) the driver's statement keeps its snapshot of the database open.
        if (!committed && !ended) connection.tainted = true
        end()
      }
    },
    async rollback() {
      if (ended) return
      try {
        await transaction.rollback()
      } catch (error) {
        connection.tainted = true
        throwClientError(error)
      } finally {
        end()
      }
    },
    close() {
      if (ended) return
      try {
        transaction.close()
      } finally {
        end()
      }
    },
    get closed() {
      return ended || transaction.closed
    },
  }
}
