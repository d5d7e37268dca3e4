import { type Lease, TenancyError } from '@tenantry/multi-tenancy/provider'
import {
  Client,
  escapeIdentifier,
  escapeLiteral,
  type PoolClient,
  type QueryResult,
  type Submittable,
} from 'pg'
import { type Connection, readStatus } from '../connections/connection.ts'
import type { QueryInput } from '../connections/pipeline.ts'
import { leavesNoDoubt } from '../errors.ts'
import { type Callback, deliver, parseArguments } from './arguments.ts'
import type { LeaseStatements } from './lease-statements.ts'

export interface TenantConnectionOptions {
  readonly lease: Lease<Connection>
  readonly statements: LeaseStatements
  /** Throws what the app receives. Finding out may take a connection. */
  readonly fail: (error: unknown) => Promise<never>
  /** Throws what the app receives, without finding out what became of the tenant. */
  readonly throwClientError: (error: unknown) => never
  /** The connection must not be used again: a cancel request may still be on its way. */
  readonly isTainted: () => boolean
  readonly onRelease: (error: unknown) => void
}

/** Events of the driver's client that its holder receives. */
const EVENTS = ['notice', 'notification'] as const

/** A `pg.PoolClient` that works until it is released, and never reaches the connection after that. */
export function createTenantConnection(options: TenantConnectionOptions): PoolClient {
  const { lease, statements, fail, throwClientError, isTainted, onRelease } = options
  const { connection } = lease
  const { client: physical } = connection
  // With the driver's prototype, which libraries ask for, and the constructor of its parent, an emitter.
  const client: PoolClient = Reflect.construct(Object.getPrototypeOf(Client), [], Client)
  const listeners = EVENTS.map((event) => {
    const forward = (message: unknown): void => void client.emit(event, message)
    physical.on(event as 'notice', forward)
    return () => physical.removeListener(event, forward)
  })
  const onEnd = (): void => void client.emit('end')
  physical.once('end', onEnd)
  let released = false
  let pending = 0

  async function query(input: QueryInput): Promise<QueryResult> {
    pending++
    try {
      // Reading the lease throws once it has ended.
      void lease.connection
      return await statements.query(input)
    } catch (error) {
      if (leavesNoDoubt(error)) return throwClientError(error)
      // The place is free before `fail` may need a connection.
      lease.destroy()
      return fail(error)
    } finally {
      if (--pending === 0) client.emit('drain')
    }
  }

  function submit(submitted: Submittable): Submittable {
    void lease.connection
    statements.submit(submitted)
    return submitted
  }

  function release(error?: unknown): void {
    if (released) throw new Error('Release called on client which has already been released to the pool.')
    released = true
    for (const stop of listeners) stop()
    physical.removeListener('end', onEnd)
    // The next holder would read the result of the statement that still runs.
    if (error || pending > 0 || connection.pending > 0 || isTainted()) lease.destroy()
    else lease.release()
    onRelease(error)
  }

  async function end(callback?: () => void): Promise<void> {
    lease.destroy()
    callback?.()
  }

  return Object.assign(client, {
    escapeIdentifier,
    escapeLiteral,
    processID: connection.processID ?? null,
    getTransactionStatus: () => readStatus(lease.connection.client),
    getTypeParser: physical.getTypeParser.bind(physical),
    setTypeParser: unsupported('setTypeParser() would outlast the lease; pass `types` with the query'),
    connect: unsupported('Client has already been connected. You cannot reuse a client.'),
    cancel: unsupported('cancel() needs a client of its own'),
    ref: () => {},
    unref: () => {},
    end,
    release,
    query(input: unknown, values?: unknown, callback?: unknown) {
      const call = parseArguments(input, values, callback)
      if (call.submittable !== undefined) return submit(call.submittable)
      return deliver(query(call.config), call.callback as Callback<QueryResult> | undefined)
    },
  })
}

function unsupported(message: string): () => never {
  return () => {
    throw new TenancyError('not_supported', message)
  }
}
