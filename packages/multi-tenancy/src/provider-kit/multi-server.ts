import { TenancyError } from '../errors.ts'
import type { CallOptions, ListedDatabase, Locator, TenantProvider } from '../types/provider.ts'

/** What one of several servers does. A place is what a locator says, the server's name among it. */
export interface ServerControlPlane<Place> {
  create(name: string, options: CallOptions): Promise<{ place: Place; created: boolean }>
  find(name: string, options: CallOptions): Promise<Place | undefined>
  drop(place: Place, options: CallOptions): Promise<void>
  setAccess(place: Place, access: 'open' | 'closed', options: CallOptions): Promise<void>
  /** One page in the order of names, of those behind `after`; `last` is the last one's where there may be more. */
  list(
    query: { prefix: string; after: string },
    options: CallOptions,
  ): Promise<{ databases: readonly ListedDatabase[]; last: string | undefined }>
  close(): Promise<void>
}

export interface MultiServerOptions<Place> {
  /** The server of a new database, when the call names none. */
  readonly placement: (name: string) => string
  readonly toLocator: (place: Place) => Locator
  /** Throws for a locator that is not the provider's. */
  readonly parseLocator: (locator: Locator) => Place
}

/** Those members of a provider that are the same wherever databases are spread over servers with names. */
export type MultiServerMembers = Required<
  Pick<TenantProvider<unknown>, 'placements' | 'create' | 'find' | 'drop' | 'setAccess' | 'list' | 'close'>
>

/**
 * The members of a provider with several servers. A new database goes to the server that `placement` names and stays
 * there, a name is looked up on all servers concurrently, and pages list one server after the other.
 *
 * @throws `provider_rejected`, by its members, for an unknown server
 */
export function spreadOverServers<Place extends { readonly server: string }>(
  servers: ReadonlyMap<string, ServerControlPlane<Place>>,
  { placement, toLocator, parseLocator }: MultiServerOptions<Place>,
): MultiServerMembers {
  const find = (name: string, call: CallOptions): Promise<Place | undefined> =>
    firstMatch([...servers.values()].map((server) => server.find(name, call)))

  return {
    placements: [...servers.keys()],
    async create(name, call) {
      // A name is never on two servers.
      const elsewhere = servers.size > 1 ? await find(name, call) : undefined
      const server = elsewhere?.server ?? call.placement ?? placement(name)
      const { place, created } = await getServer(servers, server).create(name, call)
      return { locator: toLocator(place), created }
    },
    async find(name, call) {
      const place = await find(name, call)
      return place && toLocator(place)
    },
    async drop(locator, call) {
      const place = parseLocator(locator)
      await getServer(servers, place.server).drop(place, call)
    },
    async setAccess(locator, access, call) {
      const place = parseLocator(locator)
      await getServer(servers, place.server).setAccess(place, access, call)
    },
    async list({ prefix, cursor = '' }, call) {
      const [name = '', after = ''] = cursor.split('/')
      const names = [...servers.keys()]
      const at = Math.max(0, names.indexOf(name))
      const server = names[at] ?? ''
      const { databases, last } = await getServer(servers, server).list({ prefix, after }, call)
      const next =
        last !== undefined ? `${server}/${last}` : at + 1 < names.length ? `${names[at + 1]}/` : undefined
      return { databases, ...(next === undefined ? {} : { cursor: next }) }
    },
    async close() {
      await Promise.all([...servers.values()].map((server) => server.close()))
    },
  }
}

/** @throws `provider_rejected` for an unknown server: the locator comes from other options */
export function getServer<Server>(servers: ReadonlyMap<string, Server>, name: string): Server {
  const server = servers.get(name)
  if (server !== undefined) return server
  throw new TenancyError('provider_rejected', 'The options name no such server (servers)')
}

/**
 * Returns the first match of several servers that were queried concurrently, so that a server that is down does not hide
 * the databases of the others. A name is on one server only.
 *
 * @throws the first failure when no other server has a match: the failed server may have it
 */
export async function firstMatch<Match>(
  answers: readonly Promise<Match | undefined>[],
): Promise<Match | undefined> {
  const noMatch = {}
  try {
    return await Promise.any(
      answers.map(async (answer) => {
        const match = await answer
        if (match === undefined) throw noMatch
        return match
      }),
    )
  } catch (cause) {
    const failures = (cause as AggregateError).errors.filter((error) => error !== noMatch)
    if (failures.length > 0) throw failures[0]
    return undefined
  }
}
