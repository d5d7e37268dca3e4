import { DatabaseSync, type SQLInputValue } from 'node:sqlite'

/** The fictional service of docs/writing-a-provider.md: SQLite databases behind an HTTP API, in this process. */
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
  const findId = (name: string): string | undefined => [...byId].find(([, entry]) => entry.name === name)?.[0]

  function answer(method: string, { pathname, searchParams }: URL, body: any): Response {
    const [, , id = ''] = pathname.split('/')
    const entry = byId.get(id)
    if (method === 'POST' && id === '') {
      const existingId = findId(body.name)
      if (existingId !== undefined) return json({ id: existingId, created: false })
      const newId = crypto.randomUUID()
      byId.set(newId, { name: body.name, database: new DatabaseSync(':memory:') })
      return json({ id: newId, created: true })
    }
    if (method === 'GET') return json(page(searchParams))
    if (entry === undefined) return json({}, 404)
    if (method === 'DELETE') {
      entry.database.close()
      byId.delete(id)
      return new Response(null, { status: 204 })
    }
    return json(run(entry.database, body.statements))
  }

  function page(query: URLSearchParams): unknown {
    const exact = query.get('name')
    const matches = ({ name }: { name: string }) =>
      // Some services filter names by substring.
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
      // A service never answers in the same tick.
      await new Promise((resolve) => setImmediate(resolve))
      try {
        return answer(method, new URL(url), body ? JSON.parse(String(body), fromWire) : undefined)
      } catch (error) {
        return new Response(`${(error as Error).message} (asked with ${token})`, { status: 400 })
      }
    },
    names: () => [...byId.values()].map(({ name }) => name),
    sql(name, text) {
      const entry = byId.get(findId(name) ?? '')
      if (entry === undefined) throw new Error(`There is no database ${name}`)
      return entry.database
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
  const text = JSON.stringify(value, (_, cell) => (cell instanceof Uint8Array ? { $bytes: [...cell] } : cell))
  return new Response(text, { status })
}

function fromWire(_: string, value: any): unknown {
  if (value?.$bytes) return Uint8Array.from(value.$bytes)
  return value?.$int ? BigInt(value.$int) : value
}
