import type { Transaction } from '@libsql/client/sqlite3'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import { toPlainStatement } from '../libsql/statements.ts'
import type { FileConnection } from './connection.ts'
import { leavesNoDoubt, surface } from './errors.ts'

/** A transaction that has begun, with the lease it holds. */
export interface FileTransactionOptions {
  readonly leased: Lease<FileConnection>
  readonly transaction: Transaction
  /** Throws once the file is closed. */
  readonly checkOpen: () => void
  /** Milliseconds without a statement after which it is rolled back. */
  readonly idleTimeout: number
}

/**
 * A libSQL `Transaction` that gives its connection back at its end: committed, rolled back, closed, or forgotten
 * for `idleTimeout`. It does not wait for locks: a `write` transaction has its own from the start, and in a `deferred`
 * one that began to read before another wrote, only a new transaction helps.
 */
export function createFileTransaction(options: FileTransactionOptions): Transaction {
  const { leased, transaction, checkOpen, idleTimeout } = options
  const { connection } = leased
  connection.transaction = transaction
  let ended = false
  let idle: ReturnType<typeof setTimeout> | undefined
  let forgotten = false
  watch()

  function watch(): void {
    clearTimeout(idle)
    idle = setTimeout(() => {
      forgotten = true
      connection.tainted = true
      end()
    }, idleTimeout)
    idle.unref()
  }

  function end(): void {
    if (ended) return
    ended = true
    clearTimeout(idle)
    if (connection.tainted) leased.destroy()
    else {
      connection.transaction = undefined
      leased.release()
    }
  }

  async function run<Result>(texts: readonly string[], work: () => Promise<Result>): Promise<Result> {
    try {
      if (forgotten) throw new TenancyError('timeout', `The transaction was not used for ${idleTimeout} ms`)
      // First: closing it also ends the lease, which says less.
      if (!ended) checkOpen()
      // The lease may have been ended by others; then this throws.
      for (const text of texts) if (leased.connection.guard(text).taints) connection.tainted = true
      if (!ended) watch()
      return await work()
    } catch (error) {
      if (!leavesNoDoubt(error)) connection.tainted = true
      return surface(error)
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
    commit: () => run([], () => transaction.commit()).finally(end),
    async rollback() {
      if (ended) return
      try {
        await transaction.rollback()
      } catch (error) {
        connection.tainted = true
        surface(error)
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
