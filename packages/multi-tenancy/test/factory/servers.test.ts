import { expect, test } from 'vitest'
import { TenancyError } from '../../src/errors.ts'
import { type ServerControlPlane, spreadOverServers } from '../../src/provider-kit/multi-server.ts'
import type { CallOptions } from '../../src/types/provider.ts'

type Place = { readonly server: string; readonly name: string }
const call: CallOptions = { signal: new AbortController().signal }

/** A server of so many databases on a page. */
function server(
  name: string,
  names: string[] = [],
): ServerControlPlane<Place> & { names: string[]; log: string[] } {
  const log: string[] = []
  return {
    names,
    log,
    async create(wanted) {
      const created = !names.includes(wanted)
      if (created) names.push(wanted)
      return { place: { server: name, name: wanted }, created }
    },
    find: async (wanted) => (names.includes(wanted) ? { server: name, name: wanted } : undefined),
    async drop(place) {
      log.push(`drop ${place.name}`)
    },
    async setAccess(place, access) {
      log.push(`${access} ${place.name}`)
    },
    async list({ after }) {
      const page = [...names]
        .sort()
        .filter((each) => each > after)
        .slice(0, 2)
      const databases = page.map((each) => ({ name: each, locator: { server: name, name: each } }))
      return { databases, last: page.length === 2 ? page[1] : undefined }
    },
    async close() {
      log.push('close')
    },
  }
}

function spread(servers: Record<string, ServerControlPlane<Place>>) {
  return spreadOverServers(new Map(Object.entries(servers)), {
    placement: () => 'eu',
    toLocator: ({ server: at, name }) => ({ server: at, name }),
    parseLocator: ({ server: at, name }) => ({ server: String(at), name: String(name) }),
  })
}

test("creates a database at the call's placement, or else by the `placement` option, and never moves it", async () => {
  const [eu, us] = [server('eu'), server('us')]
  const provider = spread({ eu, us })
  expect((await provider.create('acme', call)).locator).toEqual({ server: 'eu', name: 'acme' })
  expect((await provider.create('bolt', { ...call, placement: 'us' })).locator).toEqual({
    server: 'us',
    name: 'bolt',
  })
  expect(await provider.create('bolt', { ...call, placement: 'eu' })).toEqual({
    locator: { server: 'us', name: 'bolt' },
    created: false,
  })
  expect([eu.names, us.names]).toEqual([['acme'], ['bolt']])
})

test('calls the server of the database', async () => {
  const [eu, us] = [server('eu'), server('us', ['bolt'])]
  const provider = spread({ eu, us })
  const locator = (await provider.find('bolt', call)) ?? {}
  await provider.setAccess(locator, 'closed', call)
  await provider.drop(locator, call)
  await provider.close()
  expect([eu.log, us.log]).toEqual([['close'], ['closed bolt', 'drop bolt', 'close']])
})

test('lists the servers one after another', async () => {
  const provider = spread({ eu: server('eu', ['a', 'b', 'c']), us: server('us'), ap: server('ap', ['d']) })
  const names: string[][] = []
  let cursor: string | undefined
  do {
    const page = await provider.list({ prefix: '', cursor }, call)
    names.push(page.databases.map(({ name }) => name))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(names).toEqual([['a', 'b'], ['c'], [], ['d']])
})

test('rejects an unknown server with a code', async () => {
  const provider = spread({ eu: server('eu') })
  for (const work of [
    provider.create('acme', { ...call, placement: 'mars' }),
    provider.drop({ server: 'mars', name: 'acme' }, call),
  ]) {
    const error = await work.catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(TenancyError)
    expect(error).toMatchObject({ code: 'provider_rejected' })
  }
})

test('finds databases of other servers while one is down, and creates none on them', async () => {
  const down = { ...server('us'), find: async () => Promise.reject(new Error('down')) }
  const eu = server('eu', ['acme'])
  const provider = spread({ eu, us: down })
  expect(await provider.find('acme', call)).toEqual({ server: 'eu', name: 'acme' })
  await expect(provider.create('bolt', call)).rejects.toThrow('down')
  expect(eu.names).toEqual(['acme'])
})
