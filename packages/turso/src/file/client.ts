import type { Client, Transaction, TransactionMode } from '@libsql/client/sqlite3'
import { type Lease, TenancyError } from '@tenantry/multi-tenancy'
import { plainStatement } from '../statements.ts'
import type { FileConnection } from './connection.ts'
import { leavesNoDoubt, surface } from './errors.ts'
import type { Patience } from './patience.ts'
import { createFileTransaction } from './transaction.ts'

/** What the client of one tenant works with. */
export interface FileClientOptions {
  /** A connection to the tenant's file as it is now. */
  readonly lease: () => Promise<Lease<FileConnection>>
  readonly patiently: Patience
  /** Milliseconds after which a transaction nobody uses is rolled back. */
  readonly transactionIdleTimeout: number
}

/**
 * A libSQL `Client` that holds no connection: each call leases one and gives it back, a transaction keeps one until
 * it ends. Closing it ends nothing but itself.
 */
export function createFileClient(options: FileClientOptions): Client {
  const { lease, patiently, transactionIdleTimeout } = options
  let closed = false

  function ensureOpen(): void {
    if (closed) throw new TenancyError('closed', 'The client was closed')
  }

  /** Runs `work` on a connection of its own, once all of `texts` may run there. */
  async function run<Result>(
    texts: readonly string[],
    work: (client: Client) => Promise<Result>,
  ): Promise<Result> {
    ensureOpen()
    const leased = await lease().catch(surface)
    let doubt = true
    try {
      const { connection } = leased
      for (const text of texts) if (connection.guard(text).taints) connection.tainted = true
      const result = await work(connection.client)
      doubt = false
      return result
    } catch (error) {
      doubt = !leavesNoDoubt(error)
      return surface(error)
    } finally {
      if (doubt) leased.destroy()
      else leased.release()
    }
  }

  const client: Pick<Client, keyof Client> = {
    async execute(statement: Parameters<Client['execute']>[0], args?: any) {
      const plain = plainStatement(statement, args)
      return run([plain.sql], (inner) => patiently(() => inner.execute(plain)))
    },
    async batch(statements, mode) {
      const plain = statements.map((statement) => plainStatement(statement))
      return run(textsOf(plain), (inner) => patiently(() => inner.batch(plain, mode)))
    },
    async migrate(statements) {
      const plain = statements.map((statement) => plainStatement(statement))
      return run(textsOf(plain), (inner) => patiently(() => inner.migrate(plain)))
    },
    async executeMultiple(sql) {
      const plain = plainStatement(sql)
      return run([plain.sql], async (inner) => {
        // A script that met the lock halfway could not be repeated, so the lock is waited for before it starts.
        await patiently(() => inner.execute('BEGIN IMMEDIATE'))
        return inner.executeMultiple(plain.sql)
      })
    },
    async transaction(mode: TransactionMode = 'write'): Promise<Transaction> {
      ensureOpen()
      const leased = await lease().catch(surface)
      try {
        const { client: inner } = leased.connection
        const transaction = await patiently(() => inner.transaction(mode))
        return createFileTransaction({ leased, transaction, patiently, idleTimeout: transactionIdleTimeout })
      } catch (error) {
        if (leavesNoDoubt(error)) leased.release()
        else leased.destroy()
        return surface(error)
      }
    },
    async sync() {
      throw new TenancyError('not_supported', 'A tenant’s file has nothing to be synchronised with')
    },
    close() {
      closed = true
    },
    reconnect() {
      closed = false
    },
    get closed() {
      return closed
    },
    protocol: 'file',
  }
  return client
}

function textsOf(statements: readonly { readonly sql: string }[]): string[] {
  return statements.map(({ sql }) => sql)
}
