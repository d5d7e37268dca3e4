import { type Client, createClient, type Transaction, type TransactionMode } from '@libsql/client/web'
import {
  type ConnectTarget,
  classifyConnectionError,
  createHttpClient,
  type DatabaseStatus,
  type Fetch,
  type Redactor,
  TenancyError,
} from '@tenantry/multi-tenancy/provider'
import type { TokenStore } from '../control-plane/tokens.ts'
import { findHttpError, type TursoErrors } from '../errors.ts'
import { notifyClosed, onClose } from '../libsql/close-listeners.ts'
import { type IntMode, toDriverIntMode } from '../libsql/int-mode.ts'
import { isBlocked } from '../libsql/sql-errors.ts'
import { toPlainStatement } from '../libsql/statements.ts'
import type { TursoDatabase } from '../locator.ts'
import { createTursoTransaction, type WithToken } from './transaction.ts'

export interface TursoClientOptions {
  readonly database: TursoDatabase
  readonly tokens: TokenStore
  readonly errors: TursoErrors
  readonly redactor: Redactor
  readonly fetch: Fetch
  readonly intMode: IntMode
  readonly now: () => number
  /** Milliseconds one request may take. */
  readonly requestTimeout: number
  readonly isProviderClosed: () => boolean
  /** Asks the platform whether the database is closed. */
  readonly isDatabaseClosed: () => Promise<boolean>
  /** Awaited before each call and before a transaction begins. */
  readonly beforeUse?: ConnectTarget['beforeUse'] | undefined
  /** Called when the database is gone or the client is closed. Absent while `create` waits for a new database. */
  readonly onDatabaseGone?: (() => void) | undefined
}

const UNCHANGED: DatabaseStatus = { same: true }

/**
 * A libSQL `Client` that sends each call with the database's current token. Closing it ends only the client itself:
 * HTTP leaves no connection open.
 */
export function createTursoClient(options: TursoClientOptions): Client {
  const { database, tokens, errors, isProviderClosed, isDatabaseClosed, beforeUse, onDatabaseGone } = options
  const fetch = createPinnedFetch(options)
  let closed = false
  let current: { token: string; client: Client } | undefined

  function clientFor(token: string): Client {
    if (current?.token !== token) {
      const url = `https://${database.hostname}`
      const intMode = toDriverIntMode(options.intMode)
      current = { token, client: createClient({ url, authToken: token, fetch, intMode }) }
    }
    return current.client
  }

  const withToken: WithToken = async (work) => {
    if (closed || isProviderClosed()) throw new TenancyError('closed', 'The client is closed')
    await beforeUse?.()
    try {
      const token = await tokens.get(database)
      try {
        return await markAccepted(work(clientFor(token)))
      } catch (error) {
        // A refused token means that nothing was carried out, so the call may be repeated.
        if (findHttpError(error)?.status !== 401) throw error
        const renewed = await tokens.renew(database, token)
        return await markAccepted(work(clientFor(renewed)))
      }
    } catch (error) {
      throw await explainError(error)
    }
  }

  async function markAccepted<Result>(work: Promise<Result>): Promise<Result> {
    const result = await work
    tokens.markAccepted(database)
    return result
  }

  async function explainError(error: unknown): Promise<unknown> {
    if (onDatabaseGone === undefined) return error
    const status = await findDatabase(error).catch(() => UNCHANGED)
    return classifyConnectionError(status, { cause: errors.toClientError(error), onDatabaseGone })
  }

  /**
   * Asks the platform where the database's own error is ambiguous: a 404 means "not ready" or "deleted", a block means
   * "over a limit" or "closed".
   */
  async function findDatabase(error: unknown): Promise<DatabaseStatus | undefined> {
    if (isBlocked(error) || errors.mapError(error).code === 'credentials_rejected') {
      return { same: true, closed: await isDatabaseClosed() }
    }
    return findHttpError(error)?.status === 404 ? tokens.find(database) : UNCHANGED
  }

  const run: WithToken = (work) => withToken(work).catch(errors.throwClientError)

  const client: Pick<Client, keyof Client> = {
    async execute(statement: Parameters<Client['execute']>[0], args?: any) {
      const plain = toPlainStatement(statement, args)
      return run((inner) => inner.execute(plain))
    },
    async batch(statements, mode) {
      const plain = statements.map((statement) => toPlainStatement(statement))
      return run((inner) => inner.batch(plain, mode))
    },
    migrate: async (statements) => run((inner) => inner.migrate(statements)),
    executeMultiple: async (sql) => run((inner) => inner.executeMultiple(sql)),
    async transaction(mode: TransactionMode = 'write'): Promise<Transaction> {
      const begin = (inner: Client): Promise<Transaction> => inner.transaction(mode)
      return createTursoTransaction({ begin, transaction: await run(begin), withToken, explainError, errors })
    },
    async sync() {
      throw new TenancyError(
        'not_supported',
        'sync() is not supported: a remote database has no local replica',
      )
    },
    close() {
      closed = true
      notifyClosed(client)
    },
    reconnect() {
      closed = false
    },
    get closed() {
      return closed || isProviderClosed()
    },
    protocol: 'http',
  }
  return onClose(client, onDatabaseGone)
}

const SERVICE = 'The Turso database'

/**
 * A `fetch` that sends to this database's host only. A response may name another host for the rest of a stream, where
 * this token must not go. Rejected requests throw an `HttpError` with their status.
 */
function createPinnedFetch(options: TursoClientOptions): Fetch {
  const { database, requestTimeout } = options
  const http = createHttpClient({ ...options, service: SERVICE })
  return async (input) => {
    const request = input as Request
    const { protocol, host } = new URL(request.url)
    if (protocol !== 'https:' || host !== database.hostname) {
      throw new TenancyError(
        'provider_rejected',
        `${SERVICE} ${database.name} redirected the stream to another host, which is not allowed`,
      )
    }
    const signal = AbortSignal.timeout(requestTimeout)
    const response = await http.send(request, { signal })
    const { ok, status, headers } = response
    // A statement's own error has status 400 too; the driver reads that one.
    if (ok || (status === 400 && !isTokenError(await http.readText(response.clone(), signal))))
      return response
    await response.body?.cancel()
    throw http.toError({ status: status === 400 ? 401 : status, headers })
  }
}

function isTokenError(text: string): boolean {
  return /\bjwt\b|unauthori[sz]ed/i.test(text)
}
