import type { Transaction } from '@libsql/client/sqlite3'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy'
import { plainStatement } from '../statements.ts'
import type { FileConnection } from './connection.ts'
import { leavesNoDoubt, surface } from './errors.ts'
import { isBusyButCurrent, type Patience } from './patience.ts'

/** A transaction that has begun, with the lease it holds. */
export interface FileTransactionOptions {
  readonly leased: Lease<FileConnection>
  readonly transaction: Transaction
  readonly patiently: Patience
  /** Milliseconds without a statement after which it is rolled back. */
  readonly idleTimeout: number
}

/**
 * A libSQL `Transaction` that gives its connection back at its end: committed, rolled back, closed, or forgotten
 * for `idleTimeout`.
 */
export function createFileTransaction(options: FileTransactionOptions): Transaction {
  const { leased, transaction, patiently, idleTimeout } = options
  let ended = false
  let forgotten = false
  let idle: ReturnType<typeof setTimeout> | undefined
  let tail: Promise<unknown> = Promise.resolve()
  watch()

  function watch(): void {
    clearTimeout(idle)
    idle = setTimeout(() => {
      forgotten = true
      end(true)
    }, idleTimeout)
    idle.unref()
  }

  function end(doubt: boolean): void {
    if (ended) return
    ended = true
    clearTimeout(idle)
    if (doubt) leased.destroy()
    else leased.release()
  }

  /** One statement after the other, also when one waits for a lock. */
  function run<Result>(texts: readonly string[], work: () => Promise<Result>): Promise<Result> {
    const result = tail.then(async () => {
      if (forgotten) throw new TenancyError('timeout', `The transaction was not used for ${idleTimeout} ms`)
      // Throws when the lease was ended by others.
      const { connection } = leased
      for (const text of texts) if (connection.guard(text).taints) connection.tainted = true
      clearTimeout(idle)
      try {
        return await patiently(work, isBusyButCurrent)
      } finally {
        if (!ended) watch()
      }
    })
    tail = result.catch(() => {})
    return result.catch(surface)
  }

  async function finish(work: () => Promise<void>): Promise<void> {
    await tail
    if (forgotten) throw new TenancyError('timeout', `The transaction was not used for ${idleTimeout} ms`)
    let doubt = true
    try {
      await work()
      doubt = false
    } catch (error) {
      doubt = !leavesNoDoubt(error)
      surface(error)
    } finally {
      end(doubt)
    }
  }

  return {
    async execute(statement: Parameters<Transaction['execute']>[0], args?: any) {
      const plain = plainStatement(statement, args)
      return run([plain.sql], () => transaction.execute(plain))
    },
    async batch(statements) {
      const plain = statements.map((statement) => plainStatement(statement))
      const texts = plain.map(({ sql }) => sql)
      return run(texts, () => transaction.batch(plain))
    },
    async executeMultiple(sql) {
      const plain = plainStatement(sql)
      return run([plain.sql], () => transaction.executeMultiple(plain.sql))
    },
    commit: () => finish(() => transaction.commit()),
    async rollback() {
      if (!ended) await finish(() => transaction.rollback())
    },
    close() {
      if (ended) return
      try {
        transaction.close()
      } finally {
        end(false)
      }
    },
    get closed() {
      return ended || transaction.closed
    },
  }
}
