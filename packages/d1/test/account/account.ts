import { randomBytes, randomUUID } from 'node:crypto'
import { splitStatements } from '@tenantry/multi-tenancy'
import { DATA_WORKER } from '../../src/access/data-worker.ts'
import type { D1Database, Dispatcher } from '../../src/index.ts'
import { createFaults, type Faults } from './faults.ts'
import { type Statement, type Storage, startStorage } from './storage.ts'

/** A database as the account has it. */
export interface AccountDatabase {
  readonly uuid: string
  readonly name: string
  /** Its place in the storage. */
  readonly at: number
}

/** A Cloudflare account with D1, in this process, over D1 in workerd: what the provider needs of the API. */
export interface Account {
  readonly accountId: string
  readonly apiToken: string
  /** The API. */
  readonly fetch: (input: Request | URL | string, init?: RequestInit) => Promise<Response>
  readonly faults: Faults
  /** What was asked of the API: `GET d1/database/tenant_a`, `POST d1/database/<uuid>/query`. Live. */
  readonly requests: string[]
  readonly databases: Map<string, AccountDatabase>
  /** The Workers of the dispatch namespace, by name. */
  readonly scripts: Map<string, TenantScript>
  /** A dispatch namespace's binding. */
  readonly dispatcher: Dispatcher
  /** The `env` of a Worker with a binding for each database there is: `DB_TENANT_A`. */
  readonly env: Record<string, D1Database>
  /** Around the API, and around every fault. */
  query(name: string, sql: string): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
}

export interface TenantScript {
  readonly uuid: string
  readonly vars: Record<string, string>
}

export const NAMESPACE = 'tenants'
const base = '/client/v4/accounts/'

export async function startAccount(size = 100, storage?: Storage): Promise<Account> {
  const own = storage ?? (await startStorage(size))
  const accountId = randomBytes(16).toString('hex')
  const apiToken = `token-${randomBytes(20).toString('hex')}`
  const databases = new Map<string, AccountDatabase>()
  const scripts = new Map<string, TenantScript>()
  const requests: string[] = []
  const faults = createFaults()

  const byName = (name: string): AccountDatabase | undefined =>
    [...databases.values()].find((database) => database.name === name)

  function create({ name }: any): Reply {
    if (byName(name)) return failure(400, 7502, `Database with name: '${name}' already exists`)
    const database = { uuid: randomUUID(), name, at: own.take() }
    databases.set(database.uuid, database)
    return success(shown(database))
  }

  function list(query: URLSearchParams): Reply {
    const [search, page, size] = [query.get('name') ?? '', Number(query.get('page')), Number(query.get('per_page'))]
    const found = [...databases.values()].filter(({ name }) => name.includes(search))
    return success(found.slice((page - 1) * size, page * size).map(shown))
  }

  async function run(database: AccountDatabase, body: any, raw: boolean): Promise<Reply> {
    // As the service: text may hold several statements, and all of it is one transaction.
    const statements: Statement[] = (body.batch ?? [body]).flatMap(({ sql, params = [] }: any) => {
      const texts = splitStatements(sql, 'sqlite')
      return texts.length > 1 ? texts.map((text) => ({ sql: text })) : [{ sql, params }]
    })
    try {
      const results = await own.run(database.at, statements, raw)
      if (!raw) return success(results)
      const [columns, ...rows] = results
      return success([{ success: true, meta: {}, results: { columns, rows } }])
    } catch (error) {
      return failure(400, 7500, (error as Error).message.replace(/^D1_ERROR: /, ''))
    }
  }

  async function ofDatabase(method: string, id: string, rest: string | undefined, init: RequestInit): Promise<Reply> {
    const database = databases.get(id) ?? (method === 'GET' && rest === undefined ? byName(id) : undefined)
    if (database === undefined) return failure(404, 7404, `The database ${id} could not be found`)
    if (rest === 'query' || rest === 'raw') return run(database, JSON.parse(String(init.body)), rest === 'raw')
    if (method === 'GET') return success(shown(database))
    databases.delete(database.uuid)
    return success(null)
  }

  async function ofScript(method: string, name: string | undefined, init: RequestInit): Promise<Reply> {
    if (name === undefined) return success([...scripts.keys()].map((id) => ({ id })))
    if (method === 'DELETE') {
      return scripts.delete(name) ? success(null) : failure(404, 10007, 'This Worker does not exist')
    }
    const form = await new Response(init.body).formData()
    const metadata = JSON.parse(await (form.get('metadata') as File).text())
    const module = form.get(metadata.main_module) as File
    if ((await module.text()) !== DATA_WORKER) return failure(400, 10021, 'Only the data Worker runs here')
    const vars: Record<string, string> = {}
    for (const { type, name: binding, text } of metadata.bindings) if (type !== 'd1') vars[binding] = text
    scripts.set(name, { uuid: metadata.bindings.find(({ type }: any) => type === 'd1').database_id, vars })
    return success({ id: name })
  }

  async function answer(method: string, url: URL, init: RequestInit): Promise<Reply> {
    const path = url.pathname.slice(`${base}${accountId}/`.length)
    requests.push(`${method} ${path}`)
    if (!url.pathname.startsWith(`${base}${accountId}/`)) return failure(404, 7003, 'Could not route')
    if (new Headers(init.headers).get('authorization') !== `Bearer ${apiToken}`) {
      return failure(401, 10000, 'Authentication error')
    }
    const [area, kind, ...rest] = path.split('/').map(decodeURIComponent)
    if (`${area}/${kind}` === 'd1/database') {
      if (rest[0] !== undefined) return ofDatabase(method, rest[0], rest[1], init)
      return method === 'POST' ? create(JSON.parse(String(init.body))) : list(url.searchParams)
    }
    return ofScript(method, rest[3], init)
  }

  async function dispatch(name: string, init: RequestInit = {}): Promise<Response> {
    const script = scripts.get(name)
    if (script === undefined) throw new Error('Worker not found.')
    const database = databases.get(script.uuid)
    if (database === undefined) return new Response('the binding is broken', { status: 500 })
    return own.tenantWorker(database.at, script.vars, init)
  }

  return {
    accountId,
    apiToken,
    faults,
    requests,
    databases,
    scripts,
    async fetch(input, init = {}) {
      const url = new URL(input instanceof Request ? input.url : input)
      const method = (init.method ?? 'GET').toUpperCase()
      return faults.around(`${method} ${url.pathname.split('/').slice(5).join('/')}`, async () => {
        const { status, body } = await answer(method, url, init)
        return Response.json(body, { status })
      })
    },
    dispatcher: { get: (name) => ({ fetch: (_, init) => dispatch(name, init) }) },
    env: createEnv(databases, own),
    async query(name, sql) {
      const database = byName(name)
      if (database === undefined) throw new Error(`There is no ${name}`)
      return (await own.run(database.at, [{ sql }], false))[0].results
    },
    stop: () => own.stop(),
  }
}

interface Reply {
  readonly status: number
  readonly body: unknown
}

function success(result: unknown): Reply {
  return { status: 200, body: { success: true, errors: [], messages: [], result } }
}

function failure(status: number, code: number, message: string): Reply {
  return { status, body: { success: false, errors: [{ code, message }], messages: [], result: null } }
}

function shown({ uuid, name }: AccountDatabase): Record<string, unknown> {
  return { uuid, name, version: 'production', created_at: '2026-11-23T09:00:00.000Z', file_size: 12_288 }
}

/** Bindings come and go with their databases, which a deployed Worker's do not: it stands for one deployed anew each time. */
function createEnv(databases: Map<string, AccountDatabase>, storage: Storage): Record<string, D1Database> {
  const find = (binding: string | symbol): AccountDatabase | undefined =>
    [...databases.values()].find(({ name }) => `DB_${name.replaceAll('-', '__').toUpperCase()}` === binding)
  return new Proxy<Record<string, D1Database>>(
    {},
    {
      has: (_, binding) => find(binding) !== undefined,
      get(_, binding) {
        const database = find(binding)
        return database && lateBinding(database, databases, storage)
      },
    },
  )
}

/** workerd's own binding, which fails once its database is deleted. */
function lateBinding({ uuid, at }: AccountDatabase, databases: Map<string, unknown>, storage: Storage): D1Database {
  const reach = async (): Promise<D1Database> => {
    if (databases.has(uuid)) return storage.binding(at)
    throw new Error(`D1_ERROR: The database ${uuid} could not be found`)
  }
  type Bound = { sql: string; values: unknown[] }
  const made = new WeakMap<object, Bound>()
  const onto = (db: D1Database, { sql, values }: Bound) =>
    values.length === 0 ? db.prepare(sql) : db.prepare(sql).bind(...values)
  const statement = (bound: Bound): any => {
    const use = async (run: (native: any) => unknown): Promise<unknown> => run(onto(await reach(), bound))
    const self = {
      bind: (...values: unknown[]) => statement({ sql: bound.sql, values }),
      all: () => use((native) => native.all()),
      run: () => use((native) => native.run()),
      first: (...args: unknown[]) => use((native) => native.first(...args)),
      raw: (...args: unknown[]) => use((native) => native.raw(...args)),
    }
    made.set(self, bound)
    return self
  }
  return {
    prepare: (sql: string) => statement({ sql, values: [] }),
    async batch(statements: object[]) {
      const db = await reach()
      return db.batch(statements.map((each) => onto(db, made.get(each) as Bound)))
    },
    exec: async (sql: string) => (await reach()).exec(sql),
  } as unknown as D1Database
}
