/** The module of every tenant's Worker in a dispatch namespace. */
export const DATA_WORKER_MODULE = 'worker.mjs'

/**
 * Its text: it holds the binding of one database and runs statements there for whoever shows its key. It says which
 * database it holds, so that a request for another one is refused, not answered.
 */
export const DATA_WORKER = `// Made by @tenantry/d1: holds one tenant's D1 database.
const sameText = async (a, b) => {
  const [x, y] = await Promise.all([a, b].map((text) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))))
  const [p, q] = [new Uint8Array(x), new Uint8Array(y)]
  let difference = 0
  for (let at = 0; at < p.length; at++) difference |= p[at] ^ q[at]
  return difference === 0
}
const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
const value = (wire) => (wire !== null && typeof wire === 'object' ? bytes(wire.bytes) : wire)
const answer = (body, status = 200) => Response.json({ tenantry: 1, ...body }, { status })

export default {
  async fetch(request, env) {
    if (!env.KEY) return answer({ error: 'closed' }, 423)
    const shown = request.headers.get('authorization') ?? ''
    if (!(await sameText(shown, 'Bearer ' + env.KEY))) return answer({ error: 'unauthorized' }, 401)
    const { database, statements, raw, bookmark } = await request.json()
    if (database !== env.DATABASE_ID) return answer({ error: 'another database' }, 409)
    const session = bookmark === undefined ? env.DB : env.DB.withSession(bookmark)
    try {
      const bound = statements.map(({ sql, params }) => {
        const statement = session.prepare(sql)
        return params.length === 0 ? statement : statement.bind(...params.map(value))
      })
      const results = raw
        ? await bound[0].raw({ columnNames: true })
        : bound.length === 1
          ? [await bound[0].all()]
          : await session.batch(bound)
      return answer({ results, ...(bookmark === undefined ? {} : { bookmark: session.getBookmark() }) })
    } catch (error) {
      return answer({ error: String(error?.message ?? error), refused: true }, 422)
    }
  },
}
`
