import type { Lease } from './lease.ts'

/** The place of one connection: the pool counts it from before the connection opens until after it closed. */
export interface Slot<Connection> {
  /** The key that the slot counts for. For an idle connection with a share key: that share key. */
  key: string
  /** The share key of the connection. `undefined` for a connection that serves one key only. */
  shareKey: string | undefined
  connection: Connection | undefined
  /** Set while the connection opens, or changes its target, for a waiter. */
  filling: Filling | undefined
  /** Set while a caller uses the connection. */
  lease: Lease<Connection> | undefined
  /** The clock's milliseconds at which the connection is too old to be used again. */
  expires: number
  /** Leases so far. */
  uses: number
}

/** How a slot gets a connection for a waiter. */
export interface Filling {
  readonly controller: AbortController
  /** The key of the evicted connection. The slot counts for both keys until that connection has left the old one. */
  previousKey: string | undefined
}

export function createSlot<Connection>(key: string): Slot<Connection> {
  return {
    key,
    shareKey: undefined,
    connection: undefined,
    filling: undefined,
    lease: undefined,
    expires: 0,
    uses: 0,
  }
}
