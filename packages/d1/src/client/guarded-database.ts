import type { D1Database, D1DatabaseSession, D1PreparedStatement, D1Result } from './d1-database.ts'

/** Runs one operation of a client: may wait first, may reject it, and maps its errors. */
export type Guard = <Value>(operation: () => Promise<Value>) => Promise<Value>

export interface GuardOptions {
  readonly guard: Guard
  /** Computes the result of {@link getClientInfo}. */
  readonly getInfo: () => unknown
  /** Called when a handler ends the client's adapters: the next request needs others. */
  readonly onEnd: (() => void) | undefined
}

/** Returns the database with every operation run by the guard. */
export function guardDatabase(database: D1Database, options: GuardOptions): D1Database {
  return new GuardedDatabase(database, options)
}

/** Reports that adapters over a guarded database or session were ended. Any other object is ignored. */
export function reportEnd(database: object): void {
  GuardedQueries.reportEnd(database)
}

/** The info of a guarded database; `undefined` for any other object. */
export function getClientInfo(database: object): unknown {
  return GuardedDatabase.getInfo(database)
}

// Classes, because a Worker creates a client for every request, and a closure for each member measurably costs more.

class GuardedQueries {
  readonly #inner: Pick<D1Database, 'prepare' | 'batch'>
  readonly #options: GuardOptions

  constructor(inner: Pick<D1Database, 'prepare' | 'batch'>, options: GuardOptions) {
    this.#inner = inner
    this.#options = options
  }

  static reportEnd(database: object): void {
    if (#options in database) database.#options.onEnd?.()
  }

  prepare(query: string): D1PreparedStatement {
    return new GuardedStatement(this.#inner.prepare(query), this.#options.guard)
  }

  async batch<Row>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]> {
    // Outside the guard, so that a wrong argument keeps its TypeError.
    const unwrapped = statements.map(GuardedStatement.unwrap)
    return this.#options.guard(() => this.#inner.batch<Row>(unwrapped))
  }
}

class GuardedSession extends GuardedQueries implements D1DatabaseSession {
  readonly #session: D1DatabaseSession

  constructor(session: D1DatabaseSession, options: GuardOptions) {
    super(session, options)
    this.#session = session
  }

  getBookmark(): string | null {
    return this.#session.getBookmark()
  }
}

class GuardedDatabase extends GuardedQueries implements D1Database {
  readonly #database: D1Database
  readonly #options: GuardOptions

  constructor(database: D1Database, options: GuardOptions) {
    super(database, options)
    this.#database = database
    this.#options = options
  }

  static getInfo(database: object): unknown {
    return #options in database ? database.#options.getInfo() : undefined
  }

  async exec(query: string): ReturnType<D1Database['exec']> {
    if (typeof query !== 'string') throw new TypeError('exec() needs SQL text')
    return this.#options.guard(() => this.#database.exec(query))
  }

  withSession(constraintOrBookmark?: string): D1DatabaseSession {
    return new GuardedSession(this.#database.withSession(constraintOrBookmark), this.#options)
  }

  dump(): Promise<ArrayBuffer> {
    return this.#options.guard(() => this.#database.dump())
  }
}

class GuardedStatement implements D1PreparedStatement {
  readonly #inner: D1PreparedStatement
  readonly #guard: Guard

  constructor(inner: D1PreparedStatement, guard: Guard) {
    this.#inner = inner
    this.#guard = guard
  }

  /** @throws TypeError for a statement of another client, which would run on that client's database */
  static unwrap(this: void, statement: D1PreparedStatement): D1PreparedStatement {
    if (#inner in statement) return statement.#inner
    throw new TypeError('batch() accepts only statements that this client prepared')
  }

  bind(...values: unknown[]): D1PreparedStatement {
    return new GuardedStatement(this.#inner.bind(...values), this.#guard)
  }

  first(column?: string): Promise<any> {
    return this.#guard<any>(() => (column === undefined ? this.#inner.first() : this.#inner.first(column)))
  }

  run(): Promise<any> {
    return this.#guard<any>(() => this.#inner.run())
  }

  all(): Promise<any> {
    return this.#guard<any>(() => this.#inner.all())
  }

  raw(options?: any): Promise<any> {
    return this.#guard<any>(() => this.#inner.raw(options))
  }
}
