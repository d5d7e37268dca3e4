import type { D1Database, D1DatabaseSession, D1PreparedStatement, D1Result } from './d1-database.ts'

/** Stands around each use of a client: may wait, refuse, and say what an error means. */
export type Use = <Value>(work: () => Promise<Value>) => Promise<Value>

/** The same database, of which every use goes through `use`. `about` is what {@link aboutOf} tells of it. */
export function guardDatabase<About>(database: D1Database, use: Use, about: () => About): D1Database {
  return new GuardedDatabase(database, use, about)
}

/** What a guarded database was made with; `undefined` for any other object. */
export function aboutOf(database: object): unknown {
  return GuardedDatabase.aboutOf(database)
}

// Classes, because a Worker makes a client with every request: closures for each member cost more than all the rest.

class GuardedQueries {
  readonly #inner: Pick<D1Database, 'prepare' | 'batch'>
  readonly #use: Use

  constructor(inner: Pick<D1Database, 'prepare' | 'batch'>, use: Use) {
    this.#inner = inner
    this.#use = use
  }

  prepare(query: string): D1PreparedStatement {
    return new GuardedStatement(this.#inner.prepare(query), this.#use)
  }

  batch<Row>(statements: D1PreparedStatement[]): Promise<D1Result<Row>[]> {
    return this.#use(async () => this.#inner.batch<Row>(statements.map(GuardedStatement.unwrap)))
  }
}

class GuardedSession extends GuardedQueries implements D1DatabaseSession {
  readonly #session: D1DatabaseSession

  constructor(session: D1DatabaseSession, use: Use) {
    super(session, use)
    this.#session = session
  }

  getBookmark(): string | null {
    return this.#session.getBookmark()
  }
}

class GuardedDatabase extends GuardedQueries implements D1Database {
  readonly #database: D1Database
  readonly #use: Use
  readonly #about: () => unknown

  constructor(database: D1Database, use: Use, about: () => unknown) {
    super(database, use)
    this.#database = database
    this.#use = use
    this.#about = about
  }

  static aboutOf(database: object): unknown {
    return #about in database ? database.#about() : undefined
  }

  exec(query: string): ReturnType<D1Database['exec']> {
    return this.#use(() => this.#database.exec(query))
  }

  withSession(constraintOrBookmark?: string): D1DatabaseSession {
    return new GuardedSession(this.#database.withSession(constraintOrBookmark), this.#use)
  }

  dump(): Promise<ArrayBuffer> {
    return this.#use(() => this.#database.dump())
  }
}

class GuardedStatement implements D1PreparedStatement {
  readonly #inner: D1PreparedStatement
  readonly #use: Use

  constructor(inner: D1PreparedStatement, use: Use) {
    this.#inner = inner
    this.#use = use
  }

  /** A statement of another database would run there. */
  static unwrap(this: void, statement: D1PreparedStatement): D1PreparedStatement {
    if (#inner in statement) return statement.#inner
    throw new TypeError('batch takes statements prepared by this client')
  }

  bind(...values: unknown[]): D1PreparedStatement {
    return new GuardedStatement(this.#inner.bind(...values), this.#use)
  }

  first(column?: string): Promise<any> {
    return this.#use<any>(() => (column === undefined ? this.#inner.first() : this.#inner.first(column)))
  }

  run(): Promise<any> {
    return this.#use<any>(() => this.#inner.run())
  }

  all(): Promise<any> {
    return this.#use<any>(() => this.#inner.all())
  }

  raw(options?: any): Promise<any> {
    return this.#use<any>(() => this.#inner.raw(options))
  }
}
