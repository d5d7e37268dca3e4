import { TenancyError } from '@tenantry/multi-tenancy/provider'
import { createD1Error, isD1Error } from '../errors.ts'
import type { D1Database, D1DatabaseSession, D1PreparedStatement, D1Result } from './d1-database.ts'
import { type BoundStatement, toD1Value } from './values.ts'

/** Sends statements to a database that is not bound to this Worker. One call is one transaction. */
export interface Transport {
  /** One result for each statement. */
  all(statements: readonly BoundStatement[], session?: Session): Promise<D1Result[]>
  raw(statement: BoundStatement, session?: Session): Promise<{ columns: string[]; rows: unknown[][] }>
  /** Whether the transport sends and receives a session's bookmark. */
  readonly hasSessions: boolean
}

/** A session of queries. The transport sends its bookmark, and calls `advance` with the one it receives. */
export interface Session {
  readonly bookmark: string
  advance(bookmark: string): void
}

/** A `D1Database` over a transport, with the results and errors of a binding. */
export function createRemoteDatabase(transport: Transport): D1Database {
  return {
    ...createQueries(transport),
    async exec(query) {
      const lines = query.trim().split('\n')
      try {
        const results = await runAll(
          transport,
          lines.map((sql) => ({ sql, params: [] })),
        )
        const duration = results.reduce((sum, { meta }) => sum + (meta.duration ?? 0), 0)
        return { count: results.length, duration }
      } catch (error) {
        throw isD1Error(error) ? toExecError(error, lines[0]) : error
      }
    },
    withSession(constraintOrBookmark = 'first-unconstrained'): D1DatabaseSession {
      if (!transport.hasSessions) throw notSupported('withSession()')
      const session = createSession(constraintOrBookmark)
      return {
        ...createQueries(transport, session),
        getBookmark: () => (isConstraint(session.bookmark) ? null : session.bookmark),
      }
    },
    async dump() {
      throw notSupported('dump()')
    },
  }
}

function createSession(constraintOrBookmark: string): Session {
  let bookmark = constraintOrBookmark
  return {
    get bookmark() {
      return bookmark
    },
    // Responses overtake each other. Bookmarks sort in the order of time.
    advance(next) {
      if (isConstraint(bookmark) || next > bookmark) bookmark = next
    },
  }
}

/** The bound statement of each prepared one. `batch` accepts only statements in this map. */
const boundStatements = new WeakMap<D1PreparedStatement, BoundStatement>()

function createQueries(transport: Transport, session?: Session): Pick<D1Database, 'prepare' | 'batch'> {
  function createStatement(statement: BoundStatement): D1PreparedStatement {
    async function all(): Promise<D1Result<any>> {
      const [result] = await runAll(transport, [statement], session)
      if (result !== undefined) return result
      throw new TenancyError('provider_unavailable', 'D1 sent no result for a statement')
    }
    const prepared: D1PreparedStatement = {
      bind: (...values) => createStatement({ sql: statement.sql, params: values.map(toD1Value) }),
      all,
      run: all,
      async first(column?: string): Promise<any> {
        const row = (await all()).results[0]
        if (column === undefined || row === undefined) return row ?? null
        if (Object.hasOwn(row, column)) return row[column]
        throw new Error(`D1_COLUMN_NOTFOUND: Column not found (${column})`, {
          cause: new Error('Column not found'),
        })
      },
      async raw(options?: { columnNames?: boolean }): Promise<any> {
        if (isBlank(statement)) throw noStatements()
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
      return (await runAll(transport, bound, session)) as D1Result<any>[]
    },
  }
}

/** Runs the statements as a binding does, which skips blank ones. */
async function runAll(
  transport: Transport,
  statements: readonly BoundStatement[],
  session?: Session,
): Promise<D1Result[]> {
  const remaining = statements.filter((statement) => !isBlank(statement))
  if (remaining.length === 0) throw noStatements()
  return transport.all(remaining, session)
}

/** Whether D1 skips the statement. It counts indented line comments as blank, and no other comments. */
function isBlank({ sql }: BoundStatement): boolean {
  return sql.replaceAll(/^\s+--.*/gm, '').trim() === ''
}

function noStatements(): Error {
  return createD1Error('No SQL statements detected.')
}

/** The error of `exec`. A binding always names the first line, because the whole text fails as one. */
function toExecError({ message, cause }: Error, firstLine: string | undefined): Error {
  const reason = cause instanceof Error ? cause.message : message
  const text = `Error in line 1: ${firstLine}: ${reason}`
  return new Error(`D1_EXEC_ERROR: ${text}`, { cause: new Error(text) })
}

function isConstraint(bookmark: string): boolean {
  return bookmark === 'first-primary' || bookmark === 'first-unconstrained'
}

function notSupported(method: string): TenancyError {
  return new TenancyError('not_supported', `This access method has no ${method}: use the \`binding\` method`)
}
