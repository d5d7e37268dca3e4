import { CompiledQuery, type Kysely } from 'kysely'
import { createMemoryProvider, createMemoryServer, type MemoryServer } from '../../src/memory/index.ts'
import type { ListedDatabase, TenantProvider } from '../../src/types/provider.ts'

/** Decides about each call of a process's provider: to send, delay or fail it. */
export type Around = <Value>(member: string, run: () => Promise<Value>) => Promise<Value>

/** A database service that all processes share and the test reads. */
export interface TestService {
  readonly databases: MemoryServer
  /** Databases whose connections are ended and credentials void. */
  readonly closed: Set<string>
  /** Roles, users, scripts without a database, as `list` shows them. */
  readonly remains: ListedDatabase[]
  /** Every call that reached the service. */
  readonly calls: string[]
  /** The rows of a statement in the database of this name. */
  rows(name: string, statement: string): Promise<Record<string, unknown>[]>
  provider(around?: Around): TenantProvider<Kysely<any>>
}

const direct: Around = (_member, run) => run()

/** The in-memory provider over one server, its calls noted, listing in pages, with leftovers as a test wants them. */
export function createService({
  pageSize = 100,
  setAccess = true,
}: {
  pageSize?: number
  setAccess?: boolean
} = {}): TestService {
  const databases = createMemoryServer()
  const remains: ListedDatabase[] = []
  const calls: string[] = []
  const base = createMemoryProvider(databases)

  function provider(around: Around = direct): TenantProvider<Kysely<any>> {
    const call = <Value>(member: string, run: () => Promise<Value>): Promise<Value> =>
      around(member, async () => {
        calls.push(member)
        return run()
      })
    const members: TenantProvider<Kysely<any>> = {
      ...base,
      create: (name, options) => call(`create ${name}`, () => base.create(name, options)),
      find: (name, options) => call(`find ${name}`, () => base.find(name, options)),
      drop: (locator, options) =>
        call(`drop ${locator.name}`, async () => {
          await base.drop(locator, options)
          const left = remains.findIndex(({ name }) => name === locator.name)
          if (left >= 0) remains.splice(left, 1)
        }),
      setAccess: (locator, access, options) =>
        call(`${access} ${locator.name}`, async () => base.setAccess?.(locator, access, options)),
      list: ({ prefix, cursor = '' }) =>
        call(`list ${prefix} ${cursor}`, async () => {
          const all: ListedDatabase[] = [...databases.keys()].map((name) => ({ name, locator: { name } }))
          const matching = [...all, ...remains].filter(({ name }) => name.startsWith(prefix) && name > cursor)
          matching.sort((a, b) => (a.name < b.name ? -1 : 1))
          const page = matching.slice(0, pageSize)
          const last = matching.length > pageSize ? page.at(-1)?.name : undefined
          return { databases: page, ...(last !== undefined && { cursor: last }) }
        }),
      connect: (target, options) =>
        call(`connect ${target.locator.name}`, () => base.connect(target, options)),
      query: (client, statement) =>
        call(`query ${statement.sql.slice(0, 40)}`, () => base.query(client, statement)),
      batch: (client, statements) => call('batch', () => base.batch(client, statements)),
    }
    if (!setAccess) delete members.setAccess
    return members
  }

  return {
    databases,
    closed: databases.closed,
    remains,
    calls,
    provider,
    async rows(name, statement) {
      const database = databases.get(name)
      if (database === undefined) throw new Error(`There is no database ${name}`)
      return (await database.executeQuery<Record<string, unknown>>(CompiledQuery.raw(statement))).rows
    },
  }
}
