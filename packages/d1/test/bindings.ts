import type { CloudflareEmulator } from '@tenantry/emulators'
import { convertV4MiniflareOptions, Miniflare } from 'miniflare'
import type { D1Database } from '../src/index.ts'

/** D1 in workerd, with a binding for each database of an emulated account. */
export interface Bindings {
  /**
   * The `env` of a Worker bound to every database there is: `DB_TENANT_A`. It stands for a Worker deployed anew with
   * each database. What is written here is not what the emulator's own databases hold.
   */
  readonly env: Record<string, D1Database>
  /** A database no account has. */
  fresh(): Promise<D1Database>
  /** Around the client. */
  query(name: string, sql: string): Promise<Record<string, unknown>[]>
  close(): Promise<void>
}

/** @param count how many there may ever be: they are made ready beforehand, because a new one would restart workerd */
export async function startBindings(emulator: CloudflareEmulator, count: number): Promise<Bindings> {
  const names = Array.from({ length: count }, (_, at) => `DB${at}`)
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      modules: true,
      script: 'export default { fetch: () => new Response() }',
      compatibilityDate: '2026-04-01',
      d1Databases: Object.fromEntries(names.map((name) => [name, name])),
    }),
  )
  const places = new Map<string, Promise<D1Database>>()
  let used = 0

  async function fresh(): Promise<D1Database> {
    if (used >= count) throw new Error(`All ${count} databases are used`)
    return (await miniflare.getD1Database(`DB${used++}`)) as unknown as D1Database
  }

  function placeOf(uuid: string): Promise<D1Database> {
    const place = places.get(uuid) ?? fresh()
    places.set(uuid, place)
    return place
  }

  const uuidOf = (wanted: (name: string) => boolean): string | undefined =>
    emulator.oracle.databases().find(({ name }) => wanted(name))?.uuid
  const bound = (binding: string | symbol): string | undefined =>
    uuidOf((name) => `DB_${name.replaceAll('-', '__').toUpperCase()}` === binding)

  return {
    fresh,
    env: new Proxy<Record<string, D1Database>>(
      {},
      {
        has: (_, binding) => bound(binding) !== undefined,
        get(_, binding) {
          const uuid = bound(binding)
          if (uuid === undefined) return undefined
          return mortal(async () => {
            if (emulator.oracle.databases().some((each) => each.uuid === uuid)) return placeOf(uuid)
            throw new Error('D1_ERROR: The database could not be found')
          })
        },
      },
    ),
    async query(name, sql) {
      const uuid = uuidOf((each) => each === name)
      if (uuid === undefined) throw new Error(`There is no ${name}`)
      return (await (await placeOf(uuid)).prepare(sql).all()).results as Record<string, unknown>[]
    },
    close: () => miniflare.dispose(),
  }
}

/** workerd's own binding, which fails once its database is deleted. */
function mortal(reach: () => Promise<D1Database>): D1Database {
  type Text = { readonly sql: string; readonly values: readonly unknown[] }
  const texts = new WeakMap<object, Text>()
  const onto = (db: D1Database, { sql, values }: Text) =>
    values.length === 0 ? db.prepare(sql) : db.prepare(sql).bind(...values)
  const statement = (text: Text): any => {
    const use = async (run: (native: any) => unknown): Promise<unknown> => run(onto(await reach(), text))
    const made = {
      bind: (...values: unknown[]) => statement({ sql: text.sql, values }),
      all: () => use((native) => native.all()),
      run: () => use((native) => native.run()),
      first: (...args: unknown[]) => use((native) => native.first(...args)),
      raw: (...args: unknown[]) => use((native) => native.raw(...args)),
    }
    texts.set(made, text)
    return made
  }
  return {
    prepare: (sql: string) => statement({ sql, values: [] }),
    async batch(statements: object[]) {
      const db = await reach()
      return db.batch(statements.map((each) => onto(db, texts.get(each) as Text)))
    },
  } as unknown as D1Database
}
