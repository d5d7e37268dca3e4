import type { Client, Transaction } from '@libsql/client/web'
import type { TursoErrors } from '../errors.ts'
import { plainStatement } from '../libsql/statements.ts'
import type { WithToken } from './libsql-client.ts'

/** A transaction that has a stream, but has sent nothing yet. */
export interface TursoTransactionOptions {
  readonly begin: (client: Client) => Promise<Transaction>
  readonly transaction: Transaction
  readonly withToken: WithToken
  /** What an error comes from, where the platform knows better than the database. */
  readonly truthOf: (error: unknown) => Promise<unknown>
  readonly errors: TursoErrors
}

/**
 * A libSQL `Transaction` whose first request, which carries its `BEGIN`, may be repeated with a new token. From then on
 * it keeps the stream, and with it the token, it has.
 */
export function createTursoTransaction(options: TursoTransactionOptions): Transaction {
  const { begin, withToken, truthOf, errors } = options
  const fail = async (error: unknown): Promise<never> => errors.surface(await truthOf(error))
  let { transaction } = options
  let begun = false
  let first: Promise<unknown> | undefined
  let ended = false

  /** Sends the first request alone: two of them at once could each open a stream of its own. */
  async function run<Result>(work: (current: Transaction) => Promise<Result>): Promise<Result> {
    try {
      while (!begun && first !== undefined) await first.catch(() => {})
      if (begun || ended) return await work(transaction)
      const opening = open(work)
      first = opening
      return await opening
    } catch (error) {
      return fail(error)
    }
  }

  async function open<Result>(work: (current: Transaction) => Promise<Result>): Promise<Result> {
    let attempt = 0
    try {
      return await withToken(async (client) => {
        if (attempt++ > 0) transaction = await begin(client)
        return work(transaction)
      })
    } finally {
      // Also after an error: the stream is there, or it is closed and says so itself.
      begun = true
    }
  }

  return {
    async execute(statement: Parameters<Transaction['execute']>[0], args?: any) {
      const plain = plainStatement(statement, args)
      return run((current) => current.execute(plain))
    },
    async batch(statements) {
      const plain = statements.map((statement) => plainStatement(statement))
      return run((current) => current.batch(plain))
    },
    executeMultiple: async (sql) => run((current) => current.executeMultiple(sql)),
    async commit() {
      await first?.catch(() => {})
      ended = true
      await transaction.commit().catch(fail)
    },
    async rollback() {
      await first?.catch(() => {})
      ended = true
      await transaction.rollback().catch(errors.surface)
    },
    close() {
      ended = true
      transaction.close()
    },
    get closed() {
      return transaction.closed
    },
  }
}
