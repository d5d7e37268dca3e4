import { presentConfiguration } from './configuration.ts'
import { ApiError } from './errors.ts'
import { namespaceName } from './names.ts'
import type { PlatformOperation } from './operations.ts'
import type { PlatformOptions, Route } from './platform-route.ts'
import { presentDatabase, presentInstance, presentUsage } from './present.ts'
import { computeExpiry, mintSqlToken, parseAuthorization } from './tokens.ts'

type DatabaseOperation = Extract<PlatformOperation, `databases.${string}` | `tokens.${string}`>

/** The routes under `…/databases`. */
export function databaseRoutes(options: PlatformOptions): Readonly<Record<DatabaseOperation, Route>> {
  const { records, databases, now } = options
  const named: (c: Parameters<Route>[0]) => string = (c) => c.env.parameters.database ?? ''
  return {
    'databases.create': async (c) => {
      const { id, hostname, name } = await databases.create(c.get('input'))
      return c.json({ database: { DbId: id, Hostname: hostname, Name: name } })
    },
    'databases.list': (c) => {
      const { group, parent, limit, cursor } = c.req.query()
      const pinned = c.get('pinnedGroup')
      const matching = [...records.databases.values()]
        .filter((record) => group === undefined || record.group === group)
        .filter((record) => pinned === undefined || record.group === pinned)
        .filter((record) => parent === undefined || record.parent?.id === parent)
        .sort((a, b) => (a.name < b.name ? -1 : 1))
      const { items, next } = paginate(matching, limit, cursor, options.pageSize)
      return c.json({ databases: items.map(presentDatabase), pagination: { next } })
    },
    'databases.retrieve': (c) => c.json({ database: presentDatabase(databases.find(named(c))) }),
    'databases.delete': async (c) => {
      await databases.remove(named(c))
      return c.json({ database: named(c) })
    },
    'databases.configuration': (c) => c.json(presentConfiguration(databases.find(named(c)))),
    'databases.configure': async (c) => {
      return c.json(presentConfiguration(await databases.configure(named(c), c.get('input'))))
    },
    'databases.usage': (c) => c.json({ database: presentUsage(databases.find(named(c))) }),
    'databases.stats': (c) => {
      databases.find(named(c))
      return c.json({ top_queries: null })
    },
    'databases.instances': (c) => c.json({ instances: [presentInstance(databases.find(named(c)))] }),
    'databases.instance': (c) => {
      const record = databases.find(named(c))
      if (c.env.parameters.instance !== record.location) throw new ApiError(404, 'instance not found')
      return c.json({ instance: presentInstance(record) })
    },
    'tokens.create': async (c) => {
      const record = databases.find(named(c))
      const { expiration, authorization } = c.req.query()
      const grant = {
        authorization: parseAuthorization(authorization),
        namespace: record.namespace,
        readAttach: attachable(c.get('input')).map((name) => namespaceName(name, records.organization)),
        expiresAt: computeExpiry(expiration, now(), c.env.expireToken ? 'expired' : undefined),
      }
      return c.json({ jwt: await mintSqlToken(record.key, grant, now()) })
    },
    'tokens.rotate': async (c) => {
      await databases.rotate(named(c))
      return c.body(null, 200)
    },
  }
}

/** The databases that a token request asks permission to attach. */
function attachable(input: Readonly<Record<string, unknown>>): string[] {
  const permissions = input.permissions as { read_attach?: { databases?: string[] } } | undefined
  return permissions?.read_attach?.databases ?? []
}

interface Page<T> {
  readonly items: T[]
  readonly next: string | null
}

/** One page of a sorted list; the cursor is opaque and names the last item seen, so that it survives deletions. */
function paginate<T extends { readonly name: string }>(
  sorted: T[],
  limit: string | undefined,
  cursor: string | undefined,
  pageSize: number | undefined,
): Page<T> {
  const requested = limit === undefined ? Number.POSITIVE_INFINITY : Number(limit)
  if (Number.isNaN(requested) || requested < 1) throw new ApiError(400, 'invalid limit')
  const size = Math.min(requested, pageSize ?? Number.POSITIVE_INFINITY)
  const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString()
  const rest = sorted.filter((item) => item.name > after)
  const items = rest.slice(0, size)
  const last = items.at(-1)
  const next = rest.length > items.length && last ? Buffer.from(last.name).toString('base64url') : null
  return { items, next }
}
