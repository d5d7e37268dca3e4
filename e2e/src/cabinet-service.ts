import { DatabaseSync, type SQLInputValue } from 'node:sqlite'

/** The made-up service of docs/writing-a-provider.md: SQLite databases behind an HTTP API, in this process. */
export interface CabinetService {
  readonly token: string
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  names(): string[]
  sql(name: string, text: string): Record<string, unknown>[]
}

const PAGE = 5

export function startCabinet(): CabinetService {
  const token = `secret-${crypto.randomUUID()}`
  const byId = new Map<string, { name: string; database: DatabaseSync }>()
  const idOf = (name: string): string | undefined => [...byId].find(([, one]) => one.name === name)?.[0]

  function answer(method: string, { pathname, searchParams }: URL, body: any): Response {
    const [, , id = ''] = pathname.split('/')
    const there = byId.get(id)
    if (method === 'POST' && id === '') {
      const found = idOf(body.name)
      if (found !== undefined) return json({ id: found, created: false })
      const made = crypto.randomUUID()
      byId.set(made, { name: body.name, database: new DatabaseSync(':memory:') })
      return json({ id: made, created: true })
    }
    if (method === 'GET') return json(page(searchParams))
    if (there === undefined) return json({}, 404)
    if (method === 'DELETE') {
      there.database.close()
      byId.delete(id)
      return new Response(null, { status: 204 })
    }
    return json(run(there.database, body.statements))
  }

  function page(query: URLSearchParams): unknown {
    const exact = query.get('name')
    const matches = ({ name }: { name: string }) =>
      // As some services do: the filter by name is one for substrings.
      exact === null ? name.startsWith(query.get('prefix') ?? '') : name.includes(exact)
    const all = [...byId].map(([id, { name }]) => ({ id, name })).filter(matches)
    const from = Number(query.get('cursor'))
    const databases = exact === null ? all.slice(from, from + PAGE) : all
    return exact === null && from + PAGE < all.length
      ? { databases, cursor: String(from + PAGE) }
      : { databases }
  }

  return {
    token,
    async fetch(url, { method = 'GET', body, headers, signal }) {
      signal?.throwIfAborted()
      if (new Headers(headers).get('authorization') !== `Bearer ${token}`) return json({ wrong: token }, 401)
      // The service answers later than at once, as services do.
      await new Promise((resolve) => setImmediate(resolve))
      try {
        return answer(method, new URL(url), body ? JSON.parse(String(body), fromWire) : undefined)
      } catch (error) {
        return new Response(`${(error as Error).message} (asked with ${token})`, { status: 400 })
      }
    },
    names: () => [...byId.values()].map(({ name }) => name),
    sql(name, text) {
      const there = byId.get(idOf(name) ?? '')
      if (there === undefined) throw new Error(`There is no database ${name}`)
      return there.database
        .prepare(text)
        .all()
        .map((row) => ({ ...row }))
    },
  }
}

function run(database: DatabaseSync, statements: { sql: string; params?: SQLInputValue[] }[]): unknown {
  database.exec('BEGIN')
  try {
    const results = statements.map(({ sql, params = [] }) => {
      const statement = database.prepare(sql)
      if (statement.columns().length > 0) return { rows: statement.all(...params), changes: 0 }
      return { rows: [], changes: Number(statement.run(...params).changes) }
    })
    database.exec('COMMIT')
    return results
  } catch (error) {
    if (database.isTransaction) database.exec('ROLLBACK')
    throw error
  }
}

function json(value: unknown, status = 200): Response {
  const text = JSON.stringify(value, (_, one) => (one instanceof Uint8Array ? { $bytes: [...one] } : one))
  return new Response(text, { status })
}

function fromWire(_: string, value: any): unknown {
  if (value?.$bytes) return Uint8Array.from(value.$bytes)
  return value?.$int ? BigInt(value.$int) : value
}
