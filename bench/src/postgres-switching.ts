import { Socket } from 'node:net'
import pg from 'pg'
import type { BenchDatabase } from './postgres-database.ts'
import { type BenchTenants, openTenants } from './postgres-tenants.ts'
import { byTurns, ratio, report, us } from './ratio.ts'

export const READ = 'SELECT body FROM notes WHERE id = $1'
/** Takes the server about a millisecond: as a network in between would, or a query that does more. */
const SLOW = 'SELECT body, pg_sleep(0.0005) FROM notes WHERE id = $1'

/** Microseconds of one query, the tenant changing with each, one after the other. */
export async function switching(database: BenchDatabase): Promise<void> {
  const tenants: Record<string, BenchTenants> = {
    set_role: await openTenants(database, 10, { isolation: 'set_role', maxConnections: 1 }),
    search_path: await openTenants(database, 10, { isolation: 'search_path', maxConnections: 1 }),
    'set_role, pooler transaction': await openTenants(database, 10, { isolation: 'set_role', pooler: 'transaction', maxConnections: 1 }),
  } // biome-ignore format: a list
  const raw = new pg.Client({ connectionString: database.url, options: '-c search_path=set_role_bench_0' })
  await raw.connect()
  const naive = new pg.Client({ connectionString: database.url })
  await naive.connect()
  const rivals: Record<string, (at: number) => Promise<unknown>> = {
    raw: () => raw.query(READ, [7]),
    'a SET before each query': async (at) => {
      await naive.query(`SET search_path TO set_role_bench_${at % 10}`)
      return naive.query(READ, [7])
    },
  }
  for (const [name, { clients }] of Object.entries(tenants)) {
    rivals[name] = async (at) => clients[at % 10]?.query(READ, [7])
  }
  const times = await byTurns(
    Object.fromEntries(Object.entries(rivals).map(([name, query]) => [name, () => timePerQuery(query, 600)])),
    15,
  )
  for (const name of Object.keys(rivals).slice(1)) {
    const aim = name.startsWith('a SET') ? 'naive' : '≤ 1.15'
    report(`query, switching tenants: ${name}`, ratio(times, name, 'raw'), aim, us(times, name, 'raw'))
  }
  const slow: Record<string, (at: number) => Promise<unknown>> = { raw: () => raw.query(SLOW, [7]) }
  for (const [name, { clients }] of Object.entries(tenants))
    slow[name] = async (at) => clients[at % 10]?.query(SLOW, [7])
  const longer = await byTurns(
    Object.fromEntries(Object.entries(slow).map(([name, query]) => [name, () => timePerQuery(query, 300)])),
    7,
  )
  for (const name of Object.keys(tenants))
    report(`query of a millisecond: ${name}`, ratio(longer, name, 'raw'), 'reported', us(longer, name, 'raw'))
  await Promise.all([raw.end(), naive.end(), ...Object.values(tenants).map(({ close }) => close())])
  await roundTrips(database)
}

/** How often a query waits for the server, the tenant changing with each. */
async function roundTrips(database: BenchDatabase): Promise<void> {
  for (const isolation of ['role', 'set_role', 'search_path'] as const) {
    const counter = { trips: 0 }
    const { hostname: host, port, username: user, password, pathname } = new URL(database.url)
    const { clients, close } = await openTenants(database, 2, {
      isolation,
      connection: {
        ...{ host, port: Number(port || 5432), user: user || 'postgres', database: pathname.slice(1) },
        ...(password && { password: decodeURIComponent(password) }),
        stream: () => countTrips(new Socket(), counter),
      },
    })
    for (let at = 0; at < 20; at++) await clients[at % 2]?.query(READ, [7])
    const before = counter.trips
    for (let at = 0; at < 200; at++) await clients[at % 2]?.query(READ, [7])
    report(`round trips of a query, switching tenants: ${isolation}`, (counter.trips - before) / 200, '1', '')
    await close()
  }
}

/** Counts the round trips: a round trip begins with the first write after an answer. */
function countTrips(socket: Socket, counter: { trips: number }): Socket {
  const write = socket.write.bind(socket) as (...given: unknown[]) => boolean
  let answered = true
  const counted = (...given: unknown[]): boolean => {
    if (answered) counter.trips++
    answered = false
    return write(...given)
  }
  // Connecting sets `write` back to the class's own.
  Object.defineProperty(socket, 'write', { get: () => counted, set() {} })
  return socket.on('data', () => {
    answered = true
  })
}

async function timePerQuery(query: (at: number) => Promise<unknown>, count: number): Promise<number> {
  const began = performance.now()
  for (let at = 0; at < count; at++) await query(at)
  return ((performance.now() - began) * 1_000) / count
}
