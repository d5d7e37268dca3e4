import { setTimeout as sleep } from 'node:timers/promises'
import type { Fault } from '../fault-engine.ts'
import { jsonReply } from '../http.ts'
import { ApiError } from './errors.ts'
import { type ConsistencyFaults, createConsistencyFaults } from './fault-consistency.ts'
import type { FaultEngine, FaultTarget } from './fault-engine.ts'
import { createRateLimit, type RateLimitOptions } from './fault-rate-limit.ts'

/** A status to answer with, and the body. */
export interface StatusOptions {
  /** @default 500 */
  readonly status?: number | undefined
  /** Sent as JSON. @default the service's own shape, `{ error }` */
  readonly body?: unknown
}

/** How the service answers a name that is taken. */
export type DuplicateStatus = 400 | 409 | 422

/**
 * The faults of an emulator. Each method switches one on and returns it; several compose: a request waits
 * through every hold, then meets the first fault that answers for it, else is carried out, and its answer passes
 * through the rest. A fault about an answer acts only when the request succeeded.
 */
export interface Faults extends ConsistencyFaults {
  /** Carries the request out, then cuts the connection without an answer. */
  dropReply(target: FaultTarget): Fault
  /** Cuts the connection and does not carry the request out. */
  dropRequest(target: FaultTarget): Fault
  /** Answers an error and does not carry the request out. For the data plane's 401 and 404 too. */
  fail(target: FaultTarget & StatusOptions): Fault
  /** Carries the request out, then answers an error. */
  failAfterCommit(target: FaultTarget & StatusOptions): Fault
  /** Answers 429 with `retry-after` to every matching request of a window of time. */
  rateLimit(options?: RateLimitOptions): Fault
  /** Holds matching requests until it is removed. @default at 'before' */
  hold(target: FaultTarget & { at?: 'before' | 'after' | undefined }): Fault
  /** Delays matching requests, in milliseconds. */
  delay(target: FaultTarget & { ms: number }): Fault
  /** Changes the JSON of successful answers. */
  alter(target: FaultTarget & { alter: (body: any) => unknown }): Fault
  /** Mints tokens that expired an hour ago. */
  expireTokens(target?: Pick<FaultTarget, 'database' | 'times'>): Fault
  /**
   * How a create answers a name that is taken, until {@link Faults.clear}: 400 as the live service has since
   * 2026-07-30, 409 as documented, 422 as the official command line expects. @default 400
   *
   * @see https://github.com/tursodatabase/turso-docs/issues/409
   */
  answerDuplicates(status: DuplicateStatus): void
  /** Switches every fault off; requests being held go on. */
  clear(): void
}

/** What the rest of the emulator asks of the faults. */
export interface FaultControls {
  readonly faults: Faults
  /** The answer to a name that is taken. */
  duplicate(name: string): ApiError
}

/**
 * The faults over an engine.
 *
 * @param now The clock that windows are measured by, in milliseconds since the epoch.
 * @param present What `GET …/databases/{name}` shows of a database now.
 */
export function createFaults(
  engine: FaultEngine,
  now: () => number,
  present: (name: string) => unknown,
): FaultControls {
  let duplicateStatus: DuplicateStatus = 400

  const hold: Faults['hold'] = (target) => {
    let open: () => void = () => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const moment = target.at ?? 'before'
    return engine.add(target, { name: 'hold', [moment]: () => gate, dispose: () => open() })
  }
  const faults: Faults = {
    ...createConsistencyFaults(engine, present),
    dropReply: (target) => engine.add(target, { name: 'dropReply', reply: () => 'cut' }),
    dropRequest: (target) => engine.add(target, { name: 'dropRequest', instead: () => 'cut' }),
    fail: (target) => {
      const { status = 500, body = errorBody(status) } = target
      return engine.add(target, { name: 'fail', instead: () => jsonReply(status, body) })
    },
    failAfterCommit: (target) => {
      const { status = 500, body = errorBody(status) } = target
      return engine.add(target, { name: 'failAfterCommit', reply: () => jsonReply(status, body) })
    },
    rateLimit: (options = {}) => {
      const { operation = 'platform', database } = options
      const target = { operation, database, times: Number.POSITIVE_INFINITY }
      return engine.add(target, createRateLimit(options, now))
    },
    hold,
    delay: (target) => engine.add(target, { name: 'delay', before: () => sleep(target.ms) }),
    alter: (target) =>
      engine.add(target, {
        name: 'alter',
        reply: (_, reply) =>
          jsonReply(reply.status, target.alter(JSON.parse(Buffer.from(reply.body).toString()))),
      }),
    expireTokens: (target = {}) =>
      engine.add(
        { ...target, operation: ['tokens.create', 'groupTokens.create'] },
        {
          name: 'expireTokens',
          before: (call) => {
            call.expireToken = true
          },
        },
      ),
    answerDuplicates: (status) => {
      duplicateStatus = status
    },
    clear: () => {
      duplicateStatus = 400
      engine.clear()
    },
  }
  return {
    faults,
    duplicate: (name) => new ApiError(duplicateStatus, duplicateMessage(duplicateStatus, name)),
  }
}

function duplicateMessage(status: DuplicateStatus, name: string): string {
  if (status === 409) return `database with name [${name}] already exists`
  return status === 422 ? 'database name is not available' : 'database with same name already exists'
}

function errorBody(status: number): { error: string } {
  // The data plane's wording for a token it does not take.
  if (status === 401) return { error: 'Unauthorized: `The JWT is invalid`' }
  return { error: status === 502 ? 'bad gateway' : `emulated fault: ${status}` }
}
