import { splitStatements, TenancyError } from '@tenantry/multi-tenancy/provider'
import type { D1Database, D1DatabaseSession, D1PreparedStatement, D1Result } from './d1-database.ts'
import { type BoundStatement, toD1Value } from './values.ts'

/** Sends statements to a database that is not bound to this Worker. One call is one transaction. */
export interface Transport {
  all(statements: readonly BoundStatement[], session?: SessionState): Promise<D1Result[]>
  raw(statement: BoundStatement, session?: SessionState): Promise<{ columns: string[]; rows: unknown[][] }>
  /** Whether the transport sends and receives a session's bookmark. */
  readonly hasSessions: boolean
}

/** The state of a session; the transport updates the bookmark. */
export interface SessionState {
  bookmark: string
}

/** A `D1Database` over a transport, with the results and errors of a binding. */
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
      if (!transport.hasSessions) throw notSupported('withSession()')
      const session = { bookmark: constraintOrBookmark }
      const { bookmark } = session
      return {
        ...createQueries(transport, session),
        getBookmark: () =>
          session.bookmark === bookmark && isConstraint(bookmark) ? null : session.bookmark,
      }
    },
    async dump() {
      throw notSupported('dump()')
    },
  }
}

/** The bound statement of each prepared one. `batch` accepts only statements in this map. */
const boundStatements = new WeakMap<D1PreparedStatement, BoundStatement>()

function createQueries(transport: Transport, session?: SessionState): Pick<D1Database, 'prepare' | 'batch'> {
  function createStatement(statement: BoundStatement): D1PreparedStatement {
    const all = async (): Promise<D1Result<any>> => firstResult(await transport.all([statement], session))
    const prepared: D1PreparedStatement = {
      bind: (...values) => createStatement({ sql: statement.sql, params: values.map(toD1Value) }),
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
    boundStatements.set(prepared, statement)
    return prepared
  }

  return {
    prepare: (sql) => createStatement({ sql: String(sql), params: [] }),
    async batch(statements) {
      const bound = statements.map((statement) => {
        const boundStatement = boundStatements.get(statement)
        if (boundStatement !== undefined) return boundStatement
        throw new TypeError('batch() accepts only statements that this client prepared')
      })
      if (bound.length === 0) throw new Error('D1_ERROR: No SQL statements detected.')
      return (await transport.all(bound, session)) as D1Result<any>[]
    },
  }
}

function firstResult(results: readonly D1Result[]): D1Result<any> {
  const [result] = results
  if (result !== undefined) return result
  throw new TenancyError('provider_unavailable', 'D1 sent no result for a statement')
}

function isConstraint(bookmark: string): boolean {
  return bookmark === 'first-primary' || bookmark === 'first-unconstrained'
}

function notSupported(method: string): TenancyError {
  return new TenancyError('not_supported', `This access method has no ${method}: use the \`binding\` method`)
}
