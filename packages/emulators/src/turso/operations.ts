/** What a platform token must be allowed to do; group tokens carry a list of these. */
export type Scope =
  | 'read'
  | 'db:create'
  | 'db:delete'
  | 'db:configure'
  | 'db:mint-token'
  | 'db:rotate-creds'
  | 'group:configure'
  | 'group:mint-token'
  | 'group:rotate-creds'

/** Every operation of the Platform API that is emulated. */
export type PlatformOperation =
  | 'databases.create'
  | 'databases.list'
  | 'databases.retrieve'
  | 'databases.delete'
  | 'databases.configuration'
  | 'databases.configure'
  | 'databases.usage'
  | 'databases.stats'
  | 'databases.instances'
  | 'databases.instance'
  | 'tokens.create'
  | 'tokens.rotate'
  | 'groups.create'
  | 'groups.list'
  | 'groups.retrieve'
  | 'groups.delete'
  | 'groups.configuration'
  | 'groups.configure'
  | 'groupTokens.create'
  | 'groupTokens.rotate'
  | 'locations.list'
  | 'auth.validate'

/** A platform operation, or `data` for any request to a database's own hostname. */
export type TursoOperation = PlatformOperation | 'data'

interface Operation {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** With `:parameters`, as Hono and the OpenAPI document's braces have them. */
  readonly path: string
  /** The scope a group token needs; `organization` where no group token suffices, `any` where each does. */
  readonly scope: Scope | 'organization' | 'any'
}

const database = '/v1/organizations/:organization/databases/:database'
const group = '/v1/organizations/:organization/groups/:group'
const databaseList = '/v1/organizations/:organization/databases'
const groupList = '/v1/organizations/:organization/groups'

/** The one table of routes: the server, the fault matching and the tests read it. */
export const operations: Readonly<Record<PlatformOperation, Operation>> = {
  'databases.create': { method: 'POST', path: databaseList, scope: 'db:create' },
  'databases.list': { method: 'GET', path: databaseList, scope: 'read' },
  'databases.retrieve': { method: 'GET', path: database, scope: 'read' },
  'databases.delete': { method: 'DELETE', path: database, scope: 'db:delete' },
  'databases.configuration': { method: 'GET', path: `${database}/configuration`, scope: 'read' },
  'databases.configure': { method: 'PATCH', path: `${database}/configuration`, scope: 'db:configure' },
  'databases.usage': { method: 'GET', path: `${database}/usage`, scope: 'read' },
  'databases.stats': { method: 'GET', path: `${database}/stats`, scope: 'read' },
  'databases.instances': { method: 'GET', path: `${database}/instances`, scope: 'read' },
  'databases.instance': { method: 'GET', path: `${database}/instances/:instance`, scope: 'read' },
  'tokens.create': { method: 'POST', path: `${database}/auth/tokens`, scope: 'db:mint-token' },
  'tokens.rotate': { method: 'POST', path: `${database}/auth/rotate`, scope: 'db:rotate-creds' },
  'groups.create': { method: 'POST', path: groupList, scope: 'organization' },
  'groups.list': { method: 'GET', path: groupList, scope: 'read' },
  'groups.retrieve': { method: 'GET', path: group, scope: 'read' },
  'groups.delete': { method: 'DELETE', path: group, scope: 'organization' },
  'groups.configuration': { method: 'GET', path: `${group}/configuration`, scope: 'read' },
  'groups.configure': { method: 'PATCH', path: `${group}/configuration`, scope: 'group:configure' },
  'groupTokens.create': { method: 'POST', path: `${group}/auth/tokens`, scope: 'group:mint-token' },
  'groupTokens.rotate': { method: 'POST', path: `${group}/auth/rotate`, scope: 'group:rotate-creds' },
  'locations.list': { method: 'GET', path: '/v1/locations', scope: 'any' },
  'auth.validate': { method: 'GET', path: '/v1/auth/validate', scope: 'any' },
}

/** A request's operation and the parameters of its path. */
export interface Classified {
  readonly operation: PlatformOperation
  readonly parameters: Readonly<Record<string, string>>
}

const patterns = Object.entries(operations).map(([name, { method, path }]) => ({
  operation: name as PlatformOperation,
  method,
  expression: new RegExp(`^${path.replaceAll(/:(\w+)/g, '(?<$1>[^/]+)')}$`),
}))

/** Which operation a request to the platform is; `undefined` when it is not emulated. */
export function classify(method: string, path: string): Classified | undefined {
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
