/** The permissions of a token, by the service's own names. */
export type Permission = 'D1 Read' | 'D1 Write' | 'Workers Scripts Write'

/** One emulated operation: its method, its path below `/client/v4`, and what it takes. */
export interface Operation {
  readonly method: string
  readonly path: string
  /** Any of these; none for what every token may do. */
  readonly permissions: readonly Permission[]
}

/** An operation of the API, such as `databases.create`. */
export type ApiOperation =
  | `databases.${'create' | 'list' | 'get' | 'update' | 'edit' | 'delete' | 'query' | 'raw' | 'export' | 'import' | 'bookmark' | 'restore'}`
  | `namespaces.${'create' | 'list' | 'get' | 'delete'}`
  | `scripts.${'list' | 'put' | 'get' | 'delete' | 'bindings' | 'settings'}`
  | `tokens.${'verify' | 'verifyAccount'}`
  | 'graphql'

/** Any operation: `dispatch` is a request to a script, `files` an upload or a download by a signed address. */
export type CloudflareOperation = ApiOperation | 'dispatch' | 'files'

const databases = '/accounts/:account/d1/database'
const database = `${databases}/:database`
const namespaces = '/accounts/:account/workers/dispatch/namespaces'
const namespace = `${namespaces}/:namespace`
const script = `${namespace}/scripts/:script`

const read: readonly Permission[] = ['D1 Read', 'D1 Write']
const write: readonly Permission[] = ['D1 Write']
const scripts: readonly Permission[] = ['Workers Scripts Write']

/** Every emulated operation of the API. */
export const operations: Readonly<Record<ApiOperation, Operation>> = {
  'databases.create': { method: 'POST', path: databases, permissions: write },
  'databases.list': { method: 'GET', path: databases, permissions: read },
  'databases.get': { method: 'GET', path: database, permissions: read },
  'databases.update': { method: 'PUT', path: database, permissions: write },
  'databases.edit': { method: 'PATCH', path: database, permissions: write },
  'databases.delete': { method: 'DELETE', path: database, permissions: write },
  'databases.query': { method: 'POST', path: `${database}/query`, permissions: read },
  'databases.raw': { method: 'POST', path: `${database}/raw`, permissions: read },
  'databases.export': { method: 'POST', path: `${database}/export`, permissions: read },
  'databases.import': { method: 'POST', path: `${database}/import`, permissions: write },
  'databases.bookmark': { method: 'GET', path: `${database}/time_travel/bookmark`, permissions: read },
  'databases.restore': { method: 'POST', path: `${database}/time_travel/restore`, permissions: write },
  'namespaces.create': { method: 'POST', path: namespaces, permissions: scripts },
  'namespaces.list': { method: 'GET', path: namespaces, permissions: scripts },
  'namespaces.get': { method: 'GET', path: namespace, permissions: scripts },
  'namespaces.delete': { method: 'DELETE', path: namespace, permissions: scripts },
  'scripts.list': { method: 'GET', path: `${namespace}/scripts`, permissions: scripts },
  'scripts.put': { method: 'PUT', path: script, permissions: scripts },
  'scripts.get': { method: 'GET', path: script, permissions: scripts },
  'scripts.delete': { method: 'DELETE', path: script, permissions: scripts },
  'scripts.bindings': { method: 'GET', path: `${script}/bindings`, permissions: scripts },
  'scripts.settings': { method: 'GET', path: `${script}/settings`, permissions: scripts },
  'tokens.verify': { method: 'GET', path: '/user/tokens/verify', permissions: [] },
  'tokens.verifyAccount': { method: 'GET', path: '/accounts/:account/tokens/verify', permissions: [] },
  graphql: { method: 'POST', path: '/graphql', permissions: [] },
}

const patterns = Object.entries(operations).map(([name, { method, path }]) => ({
  operation: name as ApiOperation,
  method,
  expression: new RegExp(`^${path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}$`),
}))

/** Which operation a request below `/client/v4` is; `undefined` when it is not emulated. */
export function classify(
  method: string,
  path: string,
): { operation: ApiOperation; parameters: Readonly<Record<string, string>> } | undefined {
  for (const pattern of patterns) {
    const match = pattern.method === method ? pattern.expression.exec(path) : null
    if (match === null) continue
    const parameters = Object.entries(match.groups ?? {}).map(([key, value]) => [key, decode(value)])
    return { operation: pattern.operation, parameters: Object.fromEntries(parameters) }
  }
  return undefined
}

function decode(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}
