/** The module of every tenant's Worker in a dispatch namespace. */
export const TENANT_WORKER_MODULE = 'worker.mjs'

/**
 * The module's text. The Worker holds the binding of one database and runs statements for callers that send its key.
 * A request names the database it is for, and the Worker rejects one for another database.
 */
export const TENANT_WORKER = `// Uploaded by @tenantry/d1: runs statements on one tenant's D1 database.
const isSameText = async (a, b) => {
  const [x, y] = await Promise.all([a, b].map((text) => crypto.subtle.digest('SHA-256', new TextEncoder().encode(text))))
  const [p, q] = [new Uint8Array(x), new Uint8Array(y)]
  let difference = 0
  for (let i = 0; i < p.length; i++) difference |= p[i] ^ q[i]
  return difference === 0
}
const decodeBytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0))
const decodeValue = (wire) => (wire !== null && typeof wire === 'object' ? decodeBytes(wire.bytes) : wire)
const respond = (body, status = 200) => Response.json({ tenantry: 1, ...body }, { status })

export default {
  async fetch(request, env) {
    if (!env.KEY) return respond({ error: 'closed' }, 423)
    const authorization = request.headers.get('authorization') ?? ''
    if (!(await isSameText(authorization, 'Bearer ' + env.KEY))) return respond({ error: 'unauthorized' }, 401)
    const { database, statements, raw, bookmark } = await request.json()
    if (database !== env.DATABASE_ID) return respond({ error: 'another database' }, 409)
    const session = bookmark === undefined ? env.DB : env.DB.withSession(bookmark)
    try {
      const bound = statements.map(({ sql, params }) => {
        const statement = session.prepare(sql)
        return params.length === 0 ? statement : statement.bind(...params.map(decodeValue))
      })
      const results = raw
        ? await bound[0].raw({ columnNames: true })
        : bound.length === 1
          ? [await bound[0].all()]
          : await session.batch(bound)
      return respond({ results, ...(bookmark === undefined ? {} : { bookmark: session.getBookmark() }) })
    } catch (error) {
      return respond({ error: String(error?.message ?? error), refused: true }, 422)
    }
  },
}
`
