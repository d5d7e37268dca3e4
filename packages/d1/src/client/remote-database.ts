import { splitStatements, TenancyError } from '@tenantry/multi-tenancy'
import type { D1Database, D1DatabaseSession, D1PreparedStatement, D1Result } from './d1-database.ts'
import { type BoundStatement, checkValue } from './values.ts'

/** Carries statements to a database that is not bound to this Worker. One call is one transaction. */
export interface Transport {
  all(statements: readonly BoundStatement[], session?: SessionState): Promise<D1Result[]>
  raw(statement: BoundStatement, session?: SessionState): Promise<{ columns: string[]; rows: unknown[][] }>
  /** Whether a bookmark travels with the statements. */
  readonly sessions: boolean
}

/** What a session knows; the transport moves the bookmark on. */
export interface SessionState {
  bookmark: string
}

/** A `D1Database` over a transport, with the same answers and refusals as a binding's. */
export function createRemoteDatabase(transport: Transport): D1Database {
  return {
    ...createQueries(transport),
    async exec(query) {
      const statements = splitStatements(query, 'sqlite').map((sql) => ({ sql, params: [] }))
      if (statements.length === 0) return { count: 0, duration: 0 }
      const results = await transport.all(statements)
      const duration = results.reduce((sum, { meta }) => sum + (meta.duration ?? 0), 0)
      return { count: statements.length, duration }
    },
    withSession(constraintOrBookmark = 'first-unconstrained'): D1DatabaseSession {
      if (!transport.sessions) throw notSupported('sessions')
      const session = { bookmark: constraintOrBookmark }
      const { bookmark } = session
      return {
        ...createQueries(transport, session),
        getBookmark: () =>
          session.bookmark === bookmark && isConstraint(bookmark) ? null : session.bookmark,
      }
    },
    async dump() {
      throw notSupported('dump')
    },
  }
}

/** The statement behind each prepared one; also tells ours from anything else given to `batch`. */
const prepared = new WeakMap<D1PreparedStatement, BoundStatement>()

function createQueries(transport: Transport, session?: SessionState): Pick<D1Database, 'prepare' | 'batch'> {
  function createStatement(statement: BoundStatement): D1PreparedStatement {
    const all = async (): Promise<D1Result<any>> => one(await transport.all([statement], session))
    const made: D1PreparedStatement = {
      bind: (...values) => createStatement({ sql: statement.sql, params: values.map(checkValue) }),
      all,
      run: all,
      async first(column?: string): Promise<any> {
        const row = (await all()).results[0]
        if (column === undefined || row === undefined) return row ?? null
        if (Object.hasOwn(row, column)) return row[column]
        throw new Error(`D1_COLUMN_NOTFOUND: Column not found (${column})`)
      },
      async raw(options?: { columnNames?: boolean }): Promise<any> {
        const { columns, rows } = await transport.raw(statement, session)
        return options?.columnNames ? [columns, ...rows] : rows
      },
    }
    prepared.set(made, statement)
    return made
  }

  return {
    prepare: (sql) => createStatement({ sql: String(sql), params: [] }),
    async batch(statements) {
      const bound = statements.map((statement) => {
        const known = prepared.get(statement)
        if (known === undefined) throw new TypeError('batch takes statements of this database')
        return known
      })
      if (bound.length === 0) throw new Error('D1_ERROR: No SQL statements detected.')
      return (await transport.all(bound, session)) as D1Result<any>[]
    },
  }
}

function one(results: readonly D1Result[]): D1Result<any> {
  const [result] = results
  if (result !== undefined) return result
  throw new TenancyError('provider_unavailable', 'D1 answered without a result')
}

function isConstraint(bookmark: string): boolean {
  return bookmark === 'first-primary' || bookmark === 'first-unconstrained'
}

function notSupported(what: string): TenancyError {
  return new TenancyError(
    'not_supported',
    `This way to the database has no ${what}: only a Worker's binding has`,
  )
}
