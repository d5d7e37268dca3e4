import type { Mistake, Provider } from './broken-provider.ts'

const SECRET = 'canary-7be1a2c3'
/** The placement of each database; no two cases share a name. */
const places = new Map<string, string>()
const findPlacement = async (name: string): Promise<string> => places.get(name) ?? 'no placement'

/** The in-memory provider with two placements. */
function withPlacements(intact: Provider): Partial<Provider> {
  return {
    placements: ['east', 'west'],
    async create(name, { placement = 'east', ...options }) {
      const result = await intact.create(name, options)
      if (result.created) places.set(name, placement)
      return result
    },
  }
}

/** Mistakes with placement, leftovers and `diagnose`. */
export const FLEET_MISTAKES: readonly Mistake[] = [
  {
    mistake: 'placement is ignored',
    fails: 'creates a database at its placement, and finds, lists, serves and drops it there',
    declares: { findPlacement },
    offers: withPlacements,
    break: (intact) => ({
      ...intact,
      create: (name, { placement: _, ...options }) => intact.create(name, options),
    }),
  },
  {
    mistake: 'list returns databases of the default placement only',
    fails: 'creates a database at its placement, and finds, lists, serves and drops it there',
    declares: { findPlacement },
    offers: withPlacements,
    break: (intact) => ({
      ...intact,
      async list(query, options) {
        const { databases } = await intact.list(query, options)
        return { databases: databases.filter(({ name }) => places.get(name) === 'east') }
      },
    }),
  },
  {
    mistake: "drop leaves the database's user",
    fails: 'lists no leftover of an existing or a dropped database',
    break: (intact, server) => {
      const users = getUsers(server)
      return {
        ...intact,
        async create(name, options) {
          users.add(name)
          return intact.create(name, options)
        },
        async list({ prefix, ...query }, options) {
          const { databases } = await intact.list({ prefix, ...query }, options)
          const left = [...users].filter((name) => name.startsWith(prefix) && !server.has(name))
          return {
            databases: [...databases, ...left.map((name) => ({ name, locator: { name }, remains: 'user' }))],
          }
        },
      }
    },
  },
  {
    mistake: 'diagnose shows the connection string',
    fails: 'diagnoses fleets of every size in sentences that show no secret',
    declares: { secrets: [SECRET] },
    offers: () => ({ diagnose: async () => ['The server takes 100 connections.'] }),
    break: (intact) => ({
      ...intact,
      diagnose: async () => [`The server at https://x?authToken=${SECRET} takes 100 connections.`],
    }),
  },
]

const registered = new WeakMap<object, Set<string>>()

/** Returns the users of a server, whichever provider created them. */
function getUsers(server: object): Set<string> {
  const users = registered.get(server) ?? new Set()
  registered.set(server, users)
  return users
}
