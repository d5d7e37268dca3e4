import type { D1Database, D1DatabaseSession, D1PreparedStatement, D1Result } from './d1-database.ts'

/** Runs one operation of a client: may wait first, may reject it, and maps its errors. */
export type Guard = <Value>(operation: () => Promise<Value>) => Promise<Value>

/** Returns the database with every operation run by `guard`. {@link getClientInfo} returns what `getInfo` returns. */
export function guardDatabase<Info>(database: D1Database, guard: Guard, getInfo: () => Info): D1Database {
  return new GuardedDatabase(database, guard, getInfo)
}

/** The info of a guarded database; `undefined` for any other object. */
export function getClientInfo(database: object): unknown {
  return GuardedDatabase.getInfo(database)
}

// Classes, because a Worker creates a client for every request, and a closure for each member measurably costs more.

class GuardedQueries {
  readonly #inner: Pick<D1Database, 'prepare' | 'batch'>
  readonly #guard: Guard

  constructor(inner: Pick<D1Database, 'prepare' | 'batch'>, guard: Guard) {
    this.#inner = inner
    this.#guard = guard
  }

  prepare(query: string): D1PreparedStatement {
    return new GuardedStatement(this.#inner.prepare(query), this.#guard)
  }

  async batch<Row>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]> {
    // Outside the guard, so that a wrong argument keeps its TypeError.
    const unwrapped = statements.map(GuardedStatement.unwrap)
    return this.#guard(() => this.#inner.batch<Row>(unwrapped))
  }
}

class GuardedSession extends GuardedQueries implements D1DatabaseSession {
  readonly #session: D1DatabaseSession

  constructor(session: D1DatabaseSession, guard: Guard) {
    super(session, guard)
    this.#session = session
  }

  getBookmark(): string | null {
    return this.#session.getBookmark()
  }
}

class GuardedDatabase extends GuardedQueries implements D1Database {
  readonly #database: D1Database
  readonly #guard: Guard
  readonly #getInfo: () => unknown

  constructor(database: D1Database, guard: Guard, getInfo: () => unknown) {
    super(database, guard)
    this.#database = database
    this.#guard = guard
    this.#getInfo = getInfo
  }

  static getInfo(database: object): unknown {
    return #getInfo in database ? database.#getInfo() : undefined
  }

  async exec(query: string): ReturnType<D1Database['exec']> {
    if (typeof query !== 'string') throw new TypeError('exec() needs SQL text')
    return this.#guard(() => this.#database.exec(query))
  }

  withSession(constraintOrBookmark?: string): D1DatabaseSession {
    return new GuardedSession(this.#database.withSession(constraintOrBookmark), this.#guard)
  }

  dump(): Promise<ArrayBuffer> {
    return this.#guard(() => this.#database.dump())
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
