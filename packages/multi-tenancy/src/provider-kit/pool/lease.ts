import { TenancyError } from '../../errors.ts'

/** The right to use one connection alone, until `release` or `destroy`; whichever comes first ends it. */
export interface Lease<Connection> {
  /**
   * Belongs to the lease's key. Read this property again for each use.
   *
   * @throws `closed` once the lease has ended, by its holder or by a deadline
   */
  readonly connection: Connection
  /** Gives the connection back, to be cleaned and used again. Once the lease has ended it does nothing. */
  release(): void
  /** Ends the connection: call it when the state of the connection is in doubt. Once the lease has ended it does nothing. */
  destroy(): void
}

/** The two ends of a lease: exactly one of them is called, once. */
export interface LeaseEnds {
  release(): void
  destroy(): void
}

/** A lease of the connection. */
export function createLease<Connection>(connection: Connection, ends: LeaseEnds): Lease<Connection> {
  return new HeldLease(connection, ends)
}

// A class, because an accessor in an object literal costs more than the rest of a lease.
class HeldLease<Connection> implements Lease<Connection> {
  #connection: Connection
  #ends: LeaseEnds | undefined

  constructor(connection: Connection, ends: LeaseEnds) {
    this.#connection = connection
    this.#ends = ends
  }

  get connection(): Connection {
    if (this.#ends === undefined) {
      throw new TenancyError('closed', 'The lease of this database connection has ended')
    }
    return this.#connection
  }

  // Arrow functions, so that callers may pass them on without the lease.
  readonly release = (): void => this.#take()?.release()
  readonly destroy = (): void => this.#take()?.destroy()

  #take(): LeaseEnds | undefined {
    const ends = this.#ends
    this.#ends = undefined
    return ends
  }
}
