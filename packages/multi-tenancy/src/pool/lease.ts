import { TenancyError } from '../errors.ts'

/** The right to use one connection alone, until `release` or `destroy`; whichever comes first ends it. */
export interface Lease<Connection> {
  /**
   * Belongs to the lease's key. Read it anew for each use.
   *
   * @throws `closed` once the lease has ended, by its holder or by a deadline
   */
  readonly connection: Connection
  /** Gives the connection back, to be cleaned and used again. Once the lease has ended it does nothing. */
  release(): void
  /** Ends the connection: for every doubt about its state. Once the lease has ended it does nothing. */
  destroy(): void
}

/** The two ends of a lease: exactly one of them is called, once. */
export interface LeaseEnds {
  release(): void
  destroy(): void
}

/** A lease of the connection. */
export function createLease<Connection>(connection: Connection, ends: LeaseEnds): Lease<Connection> {
  let ended = false
  function end(how: () => void): void {
    if (ended) return
    ended = true
    how()
  }
  return {
    get connection() {
      if (ended) throw new TenancyError('closed', 'The lease of this database connection has ended')
      return connection
    },
    release: () => end(ends.release),
    destroy: () => end(ends.destroy),
  }
}
