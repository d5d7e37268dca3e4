import type { D1Database, D1DatabaseSession, D1PreparedStatement } from './types.ts'

/** Stands around each use of a client: may wait, refuse, and say what an error means. */
export type Use = <Value>(work: () => Promise<Value>) => Promise<Value>

/** The statement that a guarded one hands on. */
const inner = new WeakMap<D1PreparedStatement, D1PreparedStatement>()

/** The same database, of which every use goes through `use`. */
export function guardDatabase(database: D1Database, use: Use): D1Database {
  return {
    ...guardQueries(database, use),
    exec: (query) => use(() => database.exec(query)),
    withSession(constraintOrBookmark): D1DatabaseSession {
      const session = database.withSession(constraintOrBookmark)
      return { ...guardQueries(session, use), getBookmark: () => session.getBookmark() }
    },
    dump: () => use(() => database.dump()),
  }
}

function guardQueries(
  database: Pick<D1Database, 'prepare' | 'batch'>,
  use: Use,
): Pick<D1Database, 'prepare' | 'batch'> {
  return {
    prepare: (query) => guardStatement(database.prepare(query), use),
    batch: (statements) => use(async () => database.batch(statements.map(unwrap))),
  }
}

function guardStatement(statement: D1PreparedStatement, use: Use): D1PreparedStatement {
  const guarded: D1PreparedStatement = {
    bind: (...values) => guardStatement(statement.bind(...values), use),
    first: (column?: string) =>
      use<any>(() => (column === undefined ? statement.first() : statement.first(column))),
    run: () => use<any>(() => statement.run()),
    all: () => use<any>(() => statement.all()),
    raw: (options?: any) => use<any>(() => statement.raw(options)),
  }
  inner.set(guarded, statement)
  return guarded
}

/** A statement of another database would run there. */
function unwrap(statement: D1PreparedStatement): D1PreparedStatement {
  const own = inner.get(statement)
  if (own === undefined) throw new TypeError('batch takes statements prepared by this client')
  return own
}
