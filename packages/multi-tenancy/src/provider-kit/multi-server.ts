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
  /** The server of a new database, where the call does not say. */
  readonly placement: (name: string) => string
  readonly toLocator: (place: Place) => Locator
  /** Throws for what is no locator of the provider's. */
  readonly parseLocator: (locator: Locator) => Place
}

/** Those members of a provider that are the same wherever databases are spread over servers with names. */
export type MultiServerMembers = Required<
  Pick<TenantProvider<unknown>, 'placements' | 'create' | 'find' | 'drop' | 'setAccess' | 'list' | 'close'>
>

/**
 * For a provider with several servers: new databases go where `placement` says and stay there, a name is looked for
 * on all of them at once, and pages go through one after the other.
 *
 * @throws `provider_rejected`, by its members, for a server that there is not
 */
export function spreadOverServers<Place extends { readonly server: string }>(
  servers: ReadonlyMap<string, ServerControlPlane<Place>>,
  { placement, toLocator: locatorOf, parseLocator: placeOf }: MultiServerOptions<Place>,
): MultiServerMembers {
  const find = (name: string, call: CallOptions): Promise<Place | undefined> =>
    firstMatch([...servers.values()].map((server) => server.find(name, call)))

  return {
    placements: [...servers.keys()],
    async create(name, call) {
      // A name is never on two of them.
      const elsewhere = servers.size > 1 ? await find(name, call) : undefined
      const server = elsewhere?.server ?? call.placement ?? placement(name)
      const { place, created } = await getServer(servers, server).create(name, call)
      return { locator: locatorOf(place), created }
    },
    async find(name, call) {
      const place = await find(name, call)
      return place && locatorOf(place)
    },
    async drop(locator, call) {
      const place = placeOf(locator)
      await getServer(servers, place.server).drop(place, call)
    },
    async setAccess(locator, access, call) {
      const place = placeOf(locator)
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

/** @throws `provider_rejected` for one that there is not: a locator of other options */
export function getServer<Server>(servers: ReadonlyMap<string, Server>, name: string): Server {
  const server = servers.get(name)
  if (server !== undefined) return server
  throw new TenancyError('provider_rejected', 'The options name no such server (servers)')
}

/**
 * For a provider with several servers: what the first to answer has, all asked at once, so that one that is down hides
 * nothing of the others. A name is on one of them only.
 *
 * @throws the first failure, where no other server has it: it may be there
 */
export async function firstMatch<Found>(
  answers: readonly Promise<Found | undefined>[],
): Promise<Found | undefined> {
  const nowhere = {}
  try {
    return await Promise.any(
      answers.map(async (answer) => {
        const found = await answer
        if (found === undefined) throw nowhere
        return found
      }),
    )
  } catch (cause) {
    const failures = (cause as AggregateError).errors.filter((error) => error !== nowhere)
    if (failures.length > 0) throw failures[0]
    return undefined
  }
}
