import { TenancyError } from '../../errors.ts'

/** Seconds after which a refused caller finds a shorter queue: what the queue needs, at least 1 and at most 60. */
function retryAfter(expectedWait: number): number {
  return Math.min(60, Math.max(1, Math.ceil(expectedWait / 1_000)))
}

/** @param expectedWait milliseconds until the callers that wait now are served */
export function queueFull(waiting: number, maxWaiting: number, expectedWait: number): TenancyError {
  return new TenancyError(
    'pool_exhausted',
    `The queue for database connections is full: ${callers(waiting)} already ${waiting === 1 ? 'waits' : 'wait'} for a connection (maxWaiting: ${maxWaiting}). Send fewer queries at the same time, or raise the limit`,
    { retryAfter: retryAfter(expectedWait) },
  )
}

export interface QueueTimeout {
  /** Milliseconds. */
  readonly queueTimeout: number
  /** Connections of the pool that are in use. */
  readonly leased: number
  /** Other callers of the key that wait. */
  readonly others: number
  /** Milliseconds until the callers that wait now are served. */
  readonly expectedWait: number
}

/** The error of a caller that waited for the whole `queueTimeout`. */
export function queueTimedOut({ queueTimeout, leased, others, expectedWait }: QueueTimeout): TenancyError {
  const inUse = leased === 1 ? '1 connection is in use' : `${leased} connections are in use`
  const wait = others === 1 ? '1 other caller waits' : `${others} other callers wait`
  return new TenancyError(
    'pool_exhausted',
    `No database connection became free within ${queueTimeout} ms (queueTimeout): ${inUse}, and ${wait}. Release connections sooner, or raise the connection limits`,
    { retryAfter: retryAfter(expectedWait) },
  )
}

function callers(count: number): string {
  return count === 1 ? '1 caller' : `${count} callers`
}
