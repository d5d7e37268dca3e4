import type { CloudflareEmulator } from '@tenantry/emulators'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { D1Database } from '../src/index.ts'

/** D1 in workerd, with a binding for each database of an emulated account. */
export interface Bindings {
  /**
   * The `env` of a Worker that is bound to every database of the account, as if deployed after each creation. Its data
   * is separate from the data of the emulator's own databases.
   */
  readonly env: Record<string, D1Database>
  /** Returns a database that belongs to no account. */
  createDatabase(): Promise<D1Database>
  /** Runs a statement without the client under test. */
  query(name: string, sql: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** @param count databases at most: all are created in advance, because a new one would restart workerd */
export async function startBindings(emulator: CloudflareEmulator, count: number): Promise<Bindings> {
  const names = Array.from({ length: count }, (_, index) => `DB${index}`)
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: 'export default { fetch: () => new Response() }',
      compatibilityDate: '2026-04-01',
      d1Databases: Object.fromEntries(names.map((name) => [name, name])),
    }),
  )
  const databases = new Map<string, Promise<D1Database>>()
  let used = 0

  async function createDatabase(): Promise<D1Database> {
    if (used >= count) throw new Error(`All ${count} databases are used`)
    return (await miniflare.getD1Database(`DB${used++}`)) as unknown as D1Database
  }

  function getDatabase(uuid: string): Promise<D1Database> {
    const database = databases.get(uuid) ?? createDatabase()
    databases.set(uuid, database)
    return database
  }

  function findUuid(matches: (name: string) => boolean): string | undefined {
    return emulator.oracle.databases().find(({ name }) => matches(name))?.uuid
  }

  function findBoundUuid(binding: string | symbol): string | undefined {
    return findUuid((name) => `DB_${name.replaceAll('-', '__').toUpperCase()}` === binding)
  }

  return {
    createDatabase,
    env: new Proxy<Record<string, D1Database>>(
      {},
      {
        has: (_, binding) => findBoundUuid(binding) !== undefined,
        get(_, binding) {
          const uuid = findBoundUuid(binding)
          if (uuid === undefined) return undefined
          return createBinding(async () => {
            if (emulator.oracle.databases().some((database) => database.uuid === uuid))
              return getDatabase(uuid)
            throw new Error('D1_ERROR: The database could not be found')
          })
        },
      },
    ),
    async query(name, sql) {
      const uuid = findUuid((candidate) => candidate === name)
      if (uuid === undefined) throw new Error(`The account has no database ${name}`)
      return (await (await getDatabase(uuid)).prepare(sql).all()).results as Record<string, unknown>[]
    },
    close: () => miniflare.dispose(),
  }
}

/** Wraps workerd's own binding so that it fails after its database was deleted. */
function createBinding(getDatabase: () => Promise<D1Database>): D1Database {
  type Text = { readonly sql: string; readonly values: readonly unknown[] }
  const texts = new WeakMap<object, Text>()

  function prepare(database: D1Database, { sql, values }: Text) {
    const statement = database.prepare(sql)
    return values.length === 0 ? statement : statement.bind(...values)
  }

  function createStatement(text: Text): any {
    const run = async (call: (native: any) => unknown): Promise<unknown> =>
      call(prepare(await getDatabase(), text))
    const statement = {
      bind: (...values: unknown[]) => createStatement({ sql: text.sql, values }),
      all: () => run((native) => native.all()),
      run: () => run((native) => native.run()),
      first: (...args: unknown[]) => run((native) => native.first(...args)),
      raw: (...args: unknown[]) => run((native) => native.raw(...args)),
    }
    texts.set(statement, text)
    return statement
  }

  return {
    prepare: (sql: string) => createStatement({ sql, values: [] }),
    async batch(statements: object[]) {
      const database = await getDatabase()
      return database.batch(statements.map((statement) => prepare(database, texts.get(statement) as Text)))
    },
  } as unknown as D1Database
}
