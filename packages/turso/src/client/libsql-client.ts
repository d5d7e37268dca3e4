import { type Client, createClient, type Transaction, type TransactionMode } from '@libsql/client/web'
import { type ConnectTarget, explainRefusal, type FoundDatabase, TenancyError } from '@tenantry/multi-tenancy'
import type { TursoDatabase } from '../control-plane/platform-api.ts'
import type { TokenStore } from '../control-plane/tokens.ts'
import { httpErrorIn, type TursoErrors } from '../errors.ts'
import { type Fetch, HttpError, retryAfterOf, send } from '../http.ts'
import { tellEnding, watchEnding } from '../libsql/close-listeners.ts'
import { isBlocked } from '../libsql/sql-errors.ts'
import { plainStatement } from '../libsql/statements.ts'
import { createTursoTransaction } from './transaction.ts'

/** What the client of one tenant works with. */
export interface TursoClientOptions {
  readonly database: TursoDatabase
  readonly tokens: TokenStore
  readonly errors: TursoErrors
  readonly fetch: Fetch
  readonly now: () => number
  /** Milliseconds one request may take. */
  readonly requestTimeout: number
  /** Whether the provider was closed. */
  readonly isClosed: () => boolean
  /** Whether the platform says that the database is closed. */
  readonly isShut: () => Promise<boolean>
  /** Awaited before each call and before a transaction begins. */
  readonly admit?: ConnectTarget['admit'] | undefined
  /** Told when the database turns out to be gone, or the client is closed; absent while it is being made. */
  readonly lost?: (() => void) | undefined
}

/** Runs work with the current token's client; when the database refuses the token, once more with a new one. */
export type WithToken = <Result>(work: (client: Client) => Promise<Result>) => Promise<Result>

const HERE: FoundDatabase = { same: true }

/**
 * A libSQL `Client` whose every call goes out with the database's current token. Closing it ends nothing but
 * itself, since HTTP leaves nothing open.
 */
export function createTursoClient(options: TursoClientOptions): Client {
  const { database, tokens, errors, isClosed, isShut, admit, lost } = options
  const fetch = pin(options)
  let closed = false
  let inner: { token: string; client: Client } | undefined

  function clientOf(token: string): Client {
    if (inner?.token !== token) {
      inner = {
        token,
        client: createClient({ url: `https://${database.hostname}`, authToken: token, fetch }),
      }
    }
    return inner.client
  }

  const withToken: WithToken = async (work) => {
    if (closed || isClosed()) throw new TenancyError('closed', 'The client was closed')
    await admit?.()
    try {
      const token = await tokens.get(database)
      try {
        return await accepted(work(clientOf(token)))
      } catch (error) {
        // Refused before anything was carried out, so it may be repeated.
        if (httpErrorIn(error)?.status !== 401) throw error
        const next = await tokens.renew(database, token)
        return await accepted(work(clientOf(next)))
      }
    } catch (error) {
      throw await truthOf(error)
    }
  }

  async function accepted<Result>(work: Promise<Result>): Promise<Result> {
    const result = await work
    tokens.accepted(database)
    return result
  }

  async function truthOf(error: unknown): Promise<unknown> {
    if (lost === undefined) return error
    const found = await find(error).catch(() => HERE)
    return explainRefusal(found, { cause: errors.tell(error), lost })
  }

  /**
   * What the platform knows better: a 404 of its host may mean that the database is not ready or that it is gone, a
   * block that it is over a limit or closed.
   */
  async function find(error: unknown): Promise<FoundDatabase | undefined> {
    if (isBlocked(error) || errors.mapError(error).code === 'credentials_rejected')
      return { same: true, closed: await isShut() }
    return httpErrorIn(error)?.status === 404 ? tokens.find(database) : HERE
  }

  const run: WithToken = (work) => withToken(work).catch(errors.surface)

  const client: Pick<Client, keyof Client> = {
    async execute(statement: Parameters<Client['execute']>[0], args?: any) {
      const plain = plainStatement(statement, args)
      return run((current) => current.execute(plain))
    },
    async batch(statements, mode) {
      const plain = statements.map((statement) => plainStatement(statement))
      return run((current) => current.batch(plain, mode))
    },
    migrate: async (statements) => run((current) => current.migrate(statements)),
    executeMultiple: async (sql) => run((current) => current.executeMultiple(sql)),
    async transaction(mode: TransactionMode = 'write'): Promise<Transaction> {
      const begin = (current: Client): Promise<Transaction> => current.transaction(mode)
      return createTursoTransaction({ begin, transaction: await run(begin), withToken, truthOf, errors })
    },
    async sync() {
      throw new TenancyError('not_supported', 'A remote database has nothing to be synchronised with')
    },
    close() {
      closed = true
      tellEnding(client)
    },
    reconnect() {
      closed = false
    },
    get closed() {
      return closed || isClosed()
    },
    protocol: 'http',
  }
  return watchEnding(client, lost)
}

/**
 * A `fetch` that sends to this database's host and no other (a server's answer may name another for the rest of a
 * stream), follows no redirect, and tells a refusal by its status.
 */
function pin({ database, fetch, now, requestTimeout }: TursoClientOptions): Fetch {
  return async (input) => {
    const request = input as Request
    const { protocol, host } = new URL(request.url)
    if (protocol !== 'https:' || host !== database.hostname) {
      throw new TenancyError('provider_rejected', 'The database wanted to continue on another host')
    }
    const response = await send(fetch, 'data', request, { signal: AbortSignal.timeout(requestTimeout) })
    const { status } = response
    if (response.ok) return response
    // A statement's own errors come with 400 too, and are the driver's to read.
    const said = status === 400 ? await response.clone().text() : ''
    if (status === 400 && !/\bjwt\b|unauthori[sz]ed/i.test(said)) return response
    await response.body?.cancel()
    throw new HttpError('data', status === 400 ? 401 : status, '', {
      retryAfter: retryAfterOf(response, now()),
    })
  }
}
