import type { Client, Transaction } from '@libsql/client/web'
import type { TursoErrors } from '../errors.ts'
import { toPlainStatement } from '../libsql/statements.ts'

/** Runs `work` with a client that has the current token; when the token is refused, once more with a new one. */
export type WithToken = <Result>(work: (client: Client) => Promise<Result>) => Promise<Result>

export interface TursoTransactionOptions {
  readonly begin: (client: Client) => Promise<Transaction>
  /** Begun in the driver, which sends nothing before the first statement. */
  readonly transaction: Transaction
  readonly withToken: WithToken
  /** The error that the caller gets, after asking the platform what became of the database. */
  readonly explainError: (error: unknown) => Promise<unknown>
  readonly errors: TursoErrors
}

/**
 * A libSQL `Transaction` whose first request, which carries its `BEGIN`, is repeated with a new token when the first
 * one is refused. After that request the transaction keeps its stream and the token it began with.
 */
export function createTursoTransaction(options: TursoTransactionOptions): Transaction {
  const { begin, withToken, explainError, errors } = options
  const fail = async (error: unknown): Promise<never> => errors.throwClientError(await explainError(error))
  let { transaction } = options
  let firstRequest: Promise<unknown> | undefined
  let begun = false
  let ended = false

  /** Sends the first request alone: two concurrent ones could each open a stream. */
  async function run<Result>(work: (current: Transaction) => Promise<Result>): Promise<Result> {
    try {
      while (!begun && firstRequest !== undefined) await firstRequest.catch(() => {})
      if (begun || ended) return await work(transaction)
      const request = sendFirst(work)
      firstRequest = request
      return await request
    } catch (error) {
      return fail(error)
    }
  }

  async function sendFirst<Result>(work: (current: Transaction) => Promise<Result>): Promise<Result> {
    let isRepeat = false
    try {
      return await withToken(async (client) => {
        if (isRepeat) transaction = await begin(client)
        isRepeat = true
        return work(transaction)
      })
    } finally {
      // After an error too: the stream is open, or it is closed and says so in its own error.
      begun = true
    }
  }

  return {
    async execute(statement: Parameters<Transaction['execute']>[0], args?: any) {
      const plain = toPlainStatement(statement, args)
      return run((current) => current.execute(plain))
    },
    async batch(statements) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      return run((current) => current.batch(plain))
    },
    executeMultiple: async (sql) => run((current) => current.executeMultiple(sql)),
    async commit() {
      await firstRequest?.catch(() => {})
      ended = true
      await transaction.commit().catch(fail)
    },
    async rollback() {
      await firstRequest?.catch(() => {})
      ended = true
      await transaction.rollback().catch(errors.throwClientError)
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
